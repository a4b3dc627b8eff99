"""Frames: messages over a local socket, each an u32 (big-endian) length and a msgpack body. Used by both ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

MAX_FRAME: Final = 256 * 1024 * 1024
"""Bytes of the longest frame; a length above it is garbage and ends the connection."""

HIGH_WATER: Final = 4 * 1024 * 1024
"""Unsent bytes from which on the connection counts as congested."""

_HEAD: Final = 4

_encode: Final = msgspec.msgpack.Encoder().encode


class FrameError(Exception):
    """The other side sent what is not a frame, or a frame that is none of the expected messages."""


def frame(message: Any, encode: Callable[[Any], bytes] = _encode) -> bytes:
    """`message` as a frame. Raises ValueError when it is longer than a frame may be."""
    body = body_of(message, encode)
    return len(body).to_bytes(_HEAD, "big") + body


def body_of(message: Any, encode: Callable[[Any], bytes] = _encode) -> bytes:
    """`message` as the body of a frame: for long ones, of which each copy counts. Raises ValueError as `frame` does."""
    body = encode(message)
    if len(body) > MAX_FRAME:
        raise ValueError(f"The message has {len(body)} bytes; at most {MAX_FRAME} can be sent at once.")
    return body


class Unframer:
    """Takes bytes as they arrive and gives the messages that are complete."""

    def __init__(self, message_type: Any) -> None:
        self._decode = msgspec.msgpack.Decoder(message_type).decode
        self._rest = bytearray()

    def feed(self, data: bytes | bytearray, on_message: Callable[[Any], None]) -> None:
        """Call `on_message` with each message that `data` completes. Raises FrameError at the first bad frame."""
        if self._rest:
            self._rest += data
            if len(self._rest) < _HEAD + self._wanted():
                return
            data, self._rest = self._rest, bytearray()
        view, at, end = memoryview(data), 0, len(data)
        while end - at >= _HEAD:
            length = int.from_bytes(view[at : at + _HEAD], "big")
            if length > MAX_FRAME:
                raise FrameError(f"A frame of {length} bytes was announced; at most {MAX_FRAME} are taken.")
            if end - at - _HEAD < length:
                break
            on_message(self._message(view[at + _HEAD : at + _HEAD + length]))
            at += _HEAD + length
        if at < end:
            self._rest += view[at:]

    def _wanted(self) -> int:
        """Bytes of the body that is under way, as far as its head is there; one too long is refused by `feed`."""
        length = int.from_bytes(self._rest[:_HEAD], "big") if len(self._rest) >= _HEAD else 0
        return length if length <= MAX_FRAME else 0

    def _message(self, body: memoryview) -> Any:
        try:
            return self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError(f"A frame of {len(body)} bytes is none of the expected messages: {error}") from error


class Frames(asyncio.Protocol):
    """One end of a connection: `on_message` gets each message as it arrives, `on_closed` why it ended (None: it was closed).

    All methods belong to the event loop's thread. What is sent in one turn of the loop goes out in one write.
    """

    def __init__(
        self,
        message_type: Any,
        on_message: Callable[[Any], None],
        on_closed: Callable[[Exception | None], None],
        *,
        on_connected: Callable[[Frames], None] | None = None,
    ) -> None:
        self._unframer = Unframer(message_type)
        self._on_message = on_message
        self._on_closed = on_closed
        self._on_connected = on_connected
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._error: Exception | None = None
        self.congested = False
        """The other side reads slower than this one writes: what can be left out should be."""

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def unsent(self) -> int:
        """Bytes that the other side has not read, about."""
        waiting = sum(map(len, self._unsent))
        return waiting + (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    def send(self, message: Any) -> None:
        """Send `message`; it is dropped when the connection has ended. Raises what encoding it raises, and ValueError."""
        self.send_frame(frame(message))

    def send_frame(self, data: bytes) -> None:
        """Send what `frame` gave."""
        if not self.open:
            return
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent.append(data)

    def send_body(self, body: bytes) -> None:
        """Send what `body_of` gave, without another copy of it."""
        self.flush()
        if self.open:
            assert self._transport is not None
            self._transport.write(len(body).to_bytes(_HEAD, "big"))
            self._transport.write(body)

    def close(self) -> None:
        """Send what is unsent, and close."""
        if self._transport is not None:
            self.flush()
            self._transport.close()

    def abort(self, error: Exception | None = None) -> None:
        """Close at once; `error` is the reason that `on_closed` gets."""
        self._error = self._error or error
        if self._transport is not None:
            self._transport.abort()

    def flush(self) -> None:
        """Hand what is unsent to the system; with some event loops that happens at the end of this turn."""
        unsent, self._unsent = self._unsent, []
        if unsent and self.open:
            assert self._transport is not None
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none of asyncio's classes
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        if self._on_connected is not None:
            self._on_connected(self)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived: hand on the messages that are complete."""
        try:
            self._unframer.feed(data, self._on_message)
        except FrameError as error:
            self.abort(error)

    def pause_writing(self) -> None:
        """Too much is unsent."""
        self.congested = True

    def resume_writing(self) -> None:
        """Most of it is sent."""
        self.congested = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._transport = None
        self._on_closed(self._error or exc)
