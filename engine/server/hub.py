"""The websocket clients: who is there, what each understands, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, cast

import msgspec
from aiohttp import WSMsgType, web

from engine.jobs.messages import JobPreview
from engine.jobs.records import Job
from engine.server.limits import Limits
from engine.server.log_ring import LogRing
from engine.server.principals import LOCAL, Principal, principal_of
from engine.server.refusals import Refusal
from engine.server.tokens import still_admitted
from engine.server.watching import Watches

log = logging.getLogger("safelight.websocket")

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
"""Kinds of binary messages."""

FORMATS: Final = {"jpeg": 1, "png": 2}

PREVIEWS_WHILE_WAITING: Final = 8
"""A preview is left out when so many messages wait: the next one shows more anyway."""

SENT_TOGETHER: Final = 64 * 1024
"""Bytes of messages that are joined into one write."""

HEARTBEAT: Final = 30.0
"""Seconds between pings, so that a connection whose peer has vanished is noticed."""

encode = msgspec.json.Encoder(enc_hook=str).encode

_Key: TypeAlias = tuple[str | None, str]
"""Whose a client is (`Principal.owner`), and its id."""


class Client:
    """One websocket. Messages are queued and sent in their order by a task of the client's own.

    `wants_previews`: it has announced feature flags, or asked (`?previews=true`). Others get no intermediate pictures: several
    programs take the last binary message for the result.
    """

    def __init__(
        self,
        id: str,
        socket: web.WebSocketResponse,
        limits: Limits,
        *,
        wants_previews: bool = False,
        principal: Principal = LOCAL,
    ) -> None:
        self.id = id
        self.principal = principal
        self.flags: dict[str, Any] = {}
        self.wants_previews = wants_previews
        self._socket = socket
        self._most = {WSMsgType.TEXT: limits.max_ws_pending, WSMsgType.BINARY: limits.max_ws_pictures}
        self._waiting: deque[tuple[bytes, WSMsgType]] = deque()
        self._bytes = dict.fromkeys(self._most, 0)
        self._wake = asyncio.Event()
        self.is_admitted: Callable[[], bool] = lambda: True
        """Whether it would be let in now."""
        self.on_queued: Callable[[int], None] = lambda size: None
        """Called with the bytes of each message that is queued, and with a negative number when they are sent or dropped."""
        self.closed = False
        self.transport: asyncio.WriteTransport | None = None

    def send(self, type: str, data: Mapping[str, Any] | list[Any]) -> None:
        """Queue a text message."""
        self._queue(encode({"type": type, "data": data}), WSMsgType.TEXT)

    def send_encoded(self, message: bytes) -> None:
        """Queue a text message that is JSON already."""
        self._queue(message, WSMsgType.TEXT)

    def send_bytes(self, message: bytes) -> None:
        """Queue a binary message."""
        self._queue(message, WSMsgType.BINARY)

    def send_preview(self, preview: JobPreview, place: Mapping[str, Any]) -> None:
        """Queue an intermediate picture."""
        if len(self._waiting) < PREVIEWS_WHILE_WAITING:
            self._queue(self._picture(preview.format, preview.data, place), WSMsgType.BINARY)

    def send_result(self, data: bytes, place: Mapping[str, Any]) -> None:
        """Queue a picture (a PNG file) that is a node's result: in the form of a preview, but it is never left out."""
        self._queue(self._picture("png", data, place), WSMsgType.BINARY)

    def _picture(self, format: str, data: bytes, place: Mapping[str, Any]) -> bytes:
        """A picture as the client reads it, with its metadata if it understands that."""
        if self.flags.get("supports_preview_metadata"):
            head = encode({**place, "image_type": f"image/{format}"})
            return struct.pack(">II", PREVIEW_WITH_METADATA, len(head)) + head + data
        return struct.pack(">II", PREVIEW, FORMATS[format]) + data

    def send_text(self, body: bytes, job: str) -> None:
        """Queue a text to show on a node: `body` is u32 length of the node's id, the id, the text.

        The job's id goes ahead in the same way if the client understands that.
        """
        raw = job.encode()
        head = struct.pack(">I", len(raw)) + raw if self.flags.get("supports_progress_text_metadata") else b""
        self._queue(struct.pack(">I", TEXT) + head + body, WSMsgType.BINARY)

    def _queue(self, message: bytes, kind: WSMsgType) -> None:
        if self.closed:
            return
        self._waiting.append((message, kind))
        self._bytes[kind] += len(message)
        self.on_queued(len(message))  # which may cut this client off: then nothing waits any more
        if self._bytes[kind] > self._most[kind]:
            self.cut_off()
        self._wake.set()

    @property
    def pending(self) -> int:
        """Bytes that wait to be sent."""
        return sum(self._bytes.values())

    def cut_off(self) -> None:
        """End the connection of a client that does not read."""
        log.warning("client reads too slowly and is disconnected", extra={"client": self.id})
        self.close()
        if self.transport is not None:
            self.transport.abort()  # the writer waits for it to be read, and would not get to closing it

    def close(self) -> None:
        """Send nothing more, and end the connection."""
        self.closed = True
        self.on_queued(-self.pending)
        self._waiting.clear()
        self._bytes = dict.fromkeys(self._most, 0)
        self._wake.set()

    async def write(self) -> None:
        """Send what is queued, until the connection ends."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            while not self.closed:
                if not self._waiting:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._send_waiting()
        await self._socket.close()

    async def _send_waiting(self) -> None:
        """Send some of what waits in one write, as each is a system call, which costs more than a message, and wakes the client.

        While a client has not read what it was sent, the last goes through aiohttp, which waits for that; so does a long one.
        """
        ahead: list[bytes] = []
        size = 0
        message, kind = self._next()
        while self._waiting and size < SENT_TOGETHER:
            ahead += (_frame_head(len(message), kind), message)
            size += len(message)
            message, kind = self._next()
        if self.transport is not None and not self._socket.closed:
            if len(message) < SENT_TOGETHER and not self.transport.get_write_buffer_size():
                self.transport.write(b"".join((*ahead, _frame_head(len(message), kind), message)))
                return
            if ahead:
                self.transport.write(b"".join(ahead))
        await self._socket.send_frame(message, kind)

    def _next(self) -> tuple[bytes, WSMsgType]:
        message, kind = self._waiting.popleft()
        self._bytes[kind] -= len(message)
        self.on_queued(-len(message))
        return message, kind


class Hub:
    """All clients by whose they are and their id: nobody hears messages of others by taking the id of their client.

    `features` answers a client's feature flags; `status` is the JSON of a status message's data, for those who see the jobs of
    one owner only, or (None) everybody's.
    """

    def __init__(
        self,
        features: Callable[[], Mapping[str, Any]],
        status: Callable[[str | None], Mapping[str, Any]],
        ring: LogRing,
        limits: Limits,
    ) -> None:
        self._features = features
        self._status = status
        self._limits = limits
        self._log_readers: set[_Key] = set()
        self._ring = ring
        self._forget_ring: Callable[[], None] | None = None
        self._clients: dict[_Key, Client] = {}
        self._sockets: set[Client] = set()
        self._status_due: asyncio.TimerHandle | None = None
        self._status_last = 0.0
        self._look_due: asyncio.TimerHandle | None = None
        self._pending = 0
        """Bytes that wait to be sent to all clients."""
        self.on_connect: Callable[[str, str | None], None] = lambda client_id, owner: None
        """Called with the id of a client that has connected, or come back, and with whose it is (`Job.owner`)."""
        self.watches = Watches()
        """Those that watch single jobs, from within the server."""

    def __len__(self) -> int:
        return len(self._sockets)

    def client(self, client_id: str | None, owner: str | None = None) -> Client | None:
        """The client with this id that hears of jobs of `owner`, if it is connected."""
        return self._clients.get((owner, client_id)) if client_id is not None else None

    def heard_by(self, client_id: str | None, job: Job | None) -> list[Client]:
        """Who gets what a pack sends to a client, or (None) to all, while `job` runs where it comes from.

        Of a job nobody hears but its owner and the admin. What a pack sends besides reaches whomever it names.
        """
        if client_id is None:
            return [one for one in self._sockets if job is None or one.principal.owns(job.owner)]
        if job is None:
            return [one for one in self._clients.values() if one.id == client_id]
        client = self.client(client_id, job.owner)
        return [] if client is None else [client]

    def pass_text(self, type: str, data: bytes, clients: Sequence[Client]) -> None:
        """Send a message whose data is JSON already."""
        message = b'{"type":' + encode(type) + b',"data":' + data + b"}"
        for one in clients:
            one.send_encoded(message)

    def pass_binary(self, number: int, data: bytes, clients: Sequence[Client], job: str) -> None:
        """Send a binary message of a number; `job` is what runs where it comes from, or ""."""
        message = struct.pack(">I", number) + data
        for one in clients:
            if number == TEXT:
                one.send_text(data, job)
            else:
                one.send_bytes(message)

    def tell_status(self) -> None:
        """Tell all clients the queue's length: at once, and again soon after when it changes quickly."""
        if self._status_due is not None or not self._sockets:
            return
        loop = asyncio.get_running_loop()
        wait = self._status_last + STATUS_EVERY - loop.time()
        if wait <= 0:
            self._send_status()
        else:
            self._status_due = loop.call_later(wait, self._send_status)

    def _queued(self, size: int) -> None:
        """Count what waits. When it is too much, the client that most of it waits for is cut off."""
        self._pending += size
        while size > 0 and self._pending > self._limits.max_ws_all:
            slowest = max(self._sockets, key=lambda one: one.pending, default=None)
            if slowest is None or not slowest.pending:
                return
            slowest.cut_off()

    def _send_status(self) -> None:
        self._status_due = None
        self._status_last = asyncio.get_running_loop().time()
        told: dict[str | None, bytes] = {}
        for client in list(self._sockets):
            only = client.principal.only
            if only not in told:
                told[only] = encode({"type": "status", "data": {"status": self._status(only)}})
            client.send_encoded(told[only])

    def subscribe_logs(self, client_id: str, enabled: bool, owner: str | None = None) -> None:
        """Send a client what is logged from now on, or no more."""
        if enabled:
            self._log_readers.add((owner, client_id))
        else:
            self._log_readers.discard((owner, client_id))
        if self._log_readers and self._forget_ring is None:
            loop = asyncio.get_running_loop()
            self._forget_ring = self._ring.listen(lambda entries: _call(loop, self._send_logs, entries))
        elif not self._log_readers and self._forget_ring is not None:
            self._forget_ring()
            self._forget_ring = None

    def _send_logs(self, entries: Sequence[Mapping[str, str]]) -> None:
        for key in self._log_readers:
            client = self._clients.get(key)
            if client is not None:
                client.send("logs", {"entries": entries})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Handle a websocket from its handshake to its end. Raises Refusal 503 when there are too many."""
        if len(self._sockets) >= self._limits.max_ws_clients:
            raise Refusal(503, "too_many_clients", f"{len(self._sockets)} websockets are open, the most that are kept.")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=self._limits.max_ws_message, compress=False)
        await socket.prepare(request)
        asked = request.query.get("previews", "").lower() in ("true", "1")
        principal = principal_of(request)
        id = _client_id(request.query.get("clientId"))
        client = Client(id, socket, self._limits, wants_previews=asked, principal=principal)
        client.on_queued = self._queued
        client.is_admitted = partial(still_admitted, request)
        client.transport = cast(asyncio.WriteTransport, request.transport)  # uvloop's are of no common class
        key = (principal.owner, client.id)
        previous = self._clients.get(key)
        self._clients[key] = client
        self._sockets.add(client)
        self._look_soon()
        if previous is not None:  # a page that was reloaded: its old connection has not noticed yet
            client.flags = dict(previous.flags)
            client.wants_previews = client.wants_previews or previous.wants_previews
            previous.close()
        writer = asyncio.create_task(client.write())
        try:
            client.send("status", {"status": self._status(principal.only), "sid": client.id})
            self.on_connect(client.id, principal.owner)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(client, message.data)
        finally:
            self._sockets.discard(client)
            if self._clients.get(key) is client:
                del self._clients[key]
                self._log_readers.discard(key)
            client.close()
            await _ended(writer)
        return socket

    def _hear(self, client: Client, text: str) -> None:
        """Take a client's message; what is none of ours is passed over, as other servers do."""
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return
        if (
            isinstance(message, dict)
            and message.get("type") == "feature_flags"
            and isinstance(message.get("data"), dict)
        ):
            client.flags = {key: value for key, value in message["data"].items() if isinstance(value, bool | int | str)}
            client.wants_previews = True
            client.send("feature_flags", dict(self._features()))

    def _look_soon(self) -> None:
        """End the connections of tokens that were revoked, or are past their time, in a while."""
        if self._look_due is None and self._sockets:
            self._look_due = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._look_due = None
        for client in list(self._sockets):
            if not client.is_admitted():
                client.close()
        self._look_soon()

    async def close(self) -> None:
        """End every connection, and let nobody wait for a job."""
        if self._look_due is not None:
            self._look_due.cancel()
        self.watches.close()
        for client in list(self._sockets):
            client.close()


LOOK_EVERY: Final = 1.0
"""Seconds between two looks at whether clients are still admitted."""

STATUS_EVERY: Final = 0.1
"""Seconds between two `status` messages, at least: each one makes an editor fetch queue and history anew."""


def _call(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: Any) -> None:
    """From any thread; nothing when the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *arguments)


def _frame_head(length: int, kind: WSMsgType) -> bytes:
    """The head of a whole, unmasked frame (RFC 6455, 5.2)."""
    if length < 126:
        return struct.pack(">BB", 0x80 | kind, length)
    if length < 1 << 16:
        return struct.pack(">BBH", 0x80 | kind, 126, length)
    return struct.pack(">BBQ", 0x80 | kind, 127, length)


def _client_id(given: str | None) -> str:
    """The client's own id when it is a usable one, else a new one."""
    if given and len(given) <= 200 and given.isprintable():
        return given
    return uuid.uuid4().hex


async def _ended(task: asyncio.Task[None]) -> None:
    done, _ = await asyncio.wait({task}, timeout=5)
    if not done:
        task.cancel()
