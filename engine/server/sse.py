"""Server-sent events: one answer that goes on, with its waiting bounded and its reader watched.

Whoever has something to tell calls `send`, which never waits; `serve` writes what is queued until `close`, or until the client
has gone. The format is that of the HTML standard ("Server-sent events", text/event-stream).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final
from weakref import WeakSet

import msgspec
from aiohttp import web

from engine.server.refusals import Refusal
from engine.server.tokens import still_admitted

log = logging.getLogger("safelight.sse")

HEARTBEAT: Final = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the connection and its end is noticed."""

LOOK: Final = 1.0
"""Seconds between two looks at whether the client is still there."""

MOST_WAITING: Final = 8 * 1024**2
"""Bytes that may wait for one client before the last message. One that reads more slowly is disconnected; it can ask again."""

MOST_STREAMS: Final = 500
"""Streams of the whole server."""

RETRY_AFTER: Final = 5
"""Seconds that a client waits which found too many streams open."""

LAST_EVENT_ID: Final = "Last-Event-ID"

_LONGEST_ID: Final = 200

_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


class Streams:
    """The streams that are open, so that the end of the server ends them."""

    def __init__(self) -> None:
        self._open: WeakSet[EventStream] = WeakSet()

    def add(self, stream: EventStream) -> None:
        """Count a stream in. Raises Refusal 429 when there are too many."""
        if len(self._open) >= MOST_STREAMS:
            message = f"{len(self._open)} event streams are open, the most that are kept. Ask for the state instead."
            refusal = Refusal(429, "too_many_streams", message)
            refusal.headers["Retry-After"] = str(RETRY_AFTER)
            raise refusal
        self._open.add(stream)

    def discard(self, stream: EventStream) -> None:
        """It has ended."""
        self._open.discard(stream)

    def __len__(self) -> int:
        return len(self._open)

    async def close(self, app: web.Application) -> None:
        """End them all."""
        for stream in list(self._open):
            stream.close()


STREAMS: web.AppKey[Streams] = web.AppKey("streams", Streams)


def install_streams(app: web.Application) -> None:
    """Bound the streams of an application, and end them with it."""
    app[STREAMS] = Streams()
    app.on_shutdown.append(app[STREAMS].close)


def event_bytes(event: str, data: Any, *, id: str | None = None) -> bytes:
    """One event: `data` as JSON on one line (bytes: JSON as they are). `event` and `id` must be one line."""
    body = data if isinstance(data, bytes) else _encode(data)
    if b"\n" in body or b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    head = f"event: {_line(event)}\n" if event else ""
    if id is not None:
        head += f"id: {_line(id)}\n"
    return head.encode() + b"data: " + body + b"\n\n"


class EventStream:
    """An answer of events. Make it, tell others of it, `await serve()`, and return what that gives.

    `last_event_id` is what a client that comes back says it has seen, or "". All methods belong to the event loop.
    """

    def __init__(self, request: web.Request, *, heartbeat: float = HEARTBEAT, most_waiting: int = MOST_WAITING) -> None:
        self._request = request
        self._heartbeat = heartbeat
        self._most = most_waiting
        self._waiting: dict[object, bytes] = {}
        self._bytes = 0
        self._wake = asyncio.Event()
        self._closing = False
        self.gone = False
        """The client has gone, or was disconnected because it reads too slowly: nothing is sent any more."""
        given = request.headers.get(LAST_EVENT_ID, "")
        self.last_event_id = given if len(given) <= _LONGEST_ID and given.isprintable() else ""

    @property
    def closed(self) -> bool:
        """Whether what is sent from now on is dropped."""
        return self._closing or self.gone

    def send(self, event: str, data: Any, *, id: str | None = None, replaces: object = None) -> None:
        """Queue an event. One that waits with an equal `replaces` is dropped for it: of progress only the last matters."""
        self._queue(event_bytes(event, data, id=id), replaces)

    def comment(self, text: str = "") -> None:
        """Queue a line that clients pass over."""
        self._queue(f": {_line(text)}\n\n".encode(), None)

    def close(self) -> None:
        """End the answer once everything that is queued has been written."""
        self._closing = True
        self._wake.set()

    async def serve(self, *, headers: dict[str, str] | None = None) -> web.StreamResponse:
        """Write until the end. Raises Refusal 429 before anything is sent, if too many streams are open."""
        streams = self._request.app.get(STREAMS)
        if streams is not None:
            streams.add(self)
        try:
            return await self._serve(headers or {})
        finally:
            self.gone = True
            self._waiting.clear()
            if streams is not None:
                streams.discard(self)

    async def _serve(self, headers: dict[str, str]) -> web.StreamResponse:
        answer = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # nginx would gather the events
                **headers,
            }
        )
        with contextlib.suppress(ConnectionError):
            await answer.prepare(self._request)
            await self._write(answer)
            if not self.gone:
                await answer.write_eof()
        return answer

    async def _write(self, answer: web.StreamResponse) -> None:
        silent = 0.0
        while not self.gone:
            if self._waiting:
                ready = b"".join(self._waiting.values())
                self._waiting.clear()
                self._bytes = 0
                await answer.write(ready)
                silent = 0.0
            elif self._closing:
                return
            elif self._has_gone():
                self.gone = True
            elif silent >= self._heartbeat:
                self.comment()
            else:
                wait = min(LOOK, self._heartbeat - silent)
                silent = 0.0 if await self._woken(wait) else silent + wait

    async def _woken(self, seconds: float) -> bool:
        """Whether something came within that time."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
                return True
        return False

    def _has_gone(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing() or not still_admitted(self._request)

    def _queue(self, message: bytes, replaces: object) -> None:
        if self.closed:
            return
        key = object() if replaces is None else (replaces,)
        self._bytes -= len(self._waiting.pop(key, b""))
        if self._bytes > self._most:
            self._cut_off()
        else:  # one message may be as large as it is: a result with its pictures in it
            self._waiting[key] = message
            self._bytes += len(message)
        self._wake.set()

    def _cut_off(self) -> None:
        log.warning("a reader of events is too slow and is disconnected")
        self.gone = True
        self._waiting.clear()
        if self._request.transport is not None:
            self._request.transport.abort()  # the writer waits for it to be read


def _line(text: str) -> str:
    """`text` as one line: what would end it, or the event, is left out."""
    return text.translate(_BREAKS)


_BREAKS: Final = dict.fromkeys(map(ord, "\r\n\0"))
