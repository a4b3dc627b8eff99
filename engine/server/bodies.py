"""Reading request bodies, bounded in size, in depth and in time."""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from engine.server import large_bodies
from engine.server.large_bodies import Gathered
from engine.server.limits import Limits
from engine.server.refusals import Refusal

T = TypeVar("T")

LIMITS: web.AppKey[Limits] = web.AppKey("limits", Limits)

ENCODINGS = ("gzip", "deflate")
"""Compressed bodies that are taken (`Content-Encoding`)."""

_STEP = 256 * 1024
_SHARE_SECONDS = 0.005
_UTF8_MARK = b"\xef\xbb\xbf"
_BYTE = re.compile(r"\(byte (\d+)\)")


class Pace:
    """The slowest that a body may come: `Limits.body_grace` seconds, then at least `min_body_rate` bytes per second."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._began = time.monotonic()

    async def wait(self, chunk: Awaitable[T], received: int) -> T:
        """Await `chunk` after `received` bytes. Raises Refusal 408 when it takes too long."""
        allowed = self._limits.body_grace + received / self._limits.min_body_rate
        try:
            async with asyncio.timeout(self._began + allowed - time.monotonic()):
                return await chunk
        except TimeoutError:
            message = f"The body came too slowly: {received} bytes in {allowed:.0f} seconds. Send it again, faster."
            raise Refusal(408, "body_too_slow", message) from None


class _Fairness:
    """Lets others have their turn: what has arrived is read without waiting, and chunks of a byte take long to take apart."""

    def __init__(self) -> None:
        self._since = time.thread_time()
        self._received = 0

    async def share(self, received: int) -> None:
        """After a piece of `received` bytes: wait a moment when reading has taken long."""
        self._received += received
        took = time.thread_time() - self._since
        if took > _SHARE_SECONDS:
            await asyncio.sleep(took if self._received < _STEP else 0)
            self._since, self._received = time.thread_time(), 0


def encoding_of(request: web.Request) -> str:
    """How the body is compressed, or "". Raises Refusal 415 for what is not taken."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return ""
    if encoding not in ENCODINGS:
        message = f"Content-Encoding {encoding!r} is not known: send the body as it is, or with gzip or deflate."
        raise Refusal(415, "unknown_encoding", message)
    return encoding


def too_large(limit: int, *, what: str = "The body") -> Refusal:
    """The refusal of something longer than `limit` bytes."""
    size = f"{limit // 1024**2} MiB" if limit >= 1024**2 else f"{limit} bytes"
    return Refusal(413, "too_large", f"{what} is larger than {size}, the most that is taken here.", limit=limit)


async def body_chunks(request: web.Request, limit: int | None = None) -> AsyncIterator[bytes]:
    """The body piece by piece, decompressed. Raises Refusal 413 as soon as it is longer than `limit` bytes."""
    limits = request.app.get(LIMITS) or Limits()
    limit = limits.max_body if limit is None else limit
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    encoding = encoding_of(request)
    received = size = 0
    pace = Pace(limits)
    fairness = _Fairness()
    inflate = _Inflate(encoding) if encoding else None
    while chunk := await pace.wait(request.content.readany(), received):
        received += len(chunk)
        await fairness.share(len(chunk))
        for piece in inflate.pieces(chunk) if inflate else (chunk,):
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            yield piece
            if inflate:
                await asyncio.sleep(0)  # a small bomb inflates for long: others have their turn
    if inflate:
        inflate.end()


async def read_body(request: web.Request, limit: int | None = None) -> bytes:
    """The whole body, decompressed: at most `limit` bytes (`Limits.max_body`). Raises Refusal 400, 408, 413, 415.

    A large one waits in a file for its turn (`large_bodies`), which ends with the request.
    """
    length = request.content_length
    small = length is not None and length < large_bodies.WRITTEN_AT_ONCE
    if small and request.content.is_eof() and not encoding_of(request):
        return _arrived(request, limit)
    gathered = Gathered(request)
    try:
        async for chunk in body_chunks(request, limit):
            await gathered.add(chunk)
        return await gathered.whole()
    finally:
        gathered.close()


def _arrived(request: web.Request, limit: int | None) -> bytes:
    """A body that came whole with its head: nothing has to be waited for. Raises Refusal 413."""
    body = request.content.read_nowait()
    limits = request.app.get(LIMITS) or Limits()
    limit = limits.max_body if limit is None else limit
    if len(body) > limit:
        raise too_large(limit)
    return body


async def read_json(request: web.Request, type_: Any = Any, *, limit: int | None = None) -> Any:
    """The body as JSON, whatever its Content-Type says, as a value of `type_`. Raises Refusal 400, 408, 413, 415."""
    limits = request.app.get(LIMITS) or Limits()
    return decode_json(await read_body(request, limit), type_, max_depth=limits.max_json_depth)


def decode_json(data: bytes, type_: Any = Any, *, max_depth: int = Limits().max_json_depth) -> Any:
    """`data` as JSON of `type_`. Raises Refusal 400 that says where it is wrong."""
    data = data.removeprefix(_UTF8_MARK)
    if not data.strip():
        raise Refusal(400, "invalid_json", "The body is empty, where JSON was expected.")
    try:
        if data.count(b"[") + data.count(b"{") > max_depth and _depth_exceeds(msgspec.json.decode(data), max_depth):
            raise _too_deep(max_depth)
        return msgspec.json.decode(data, type=type_)
    except msgspec.ValidationError as error:
        raise Refusal(400, "invalid_body", f"The JSON in the body does not fit: {error}.") from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise Refusal(400, "invalid_json", f"The body is not JSON: {error}{_place(data, str(error))}.") from None


def _too_deep(max_depth: int) -> Refusal:
    return Refusal(400, "json_too_deep", f"Lists and objects in the body stand deeper in each other than {max_depth}.")


def _depth_exceeds(value: Any, limit: int) -> bool:
    """Walk level by level, not by recursion."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(limit):
        if not level:
            return False
        below: list[Any] = []
        for item in level:
            below.extend(item.values() if item.__class__ is dict else item)
        level = [item for item in below if item.__class__ is dict or item.__class__ is list]
    return bool(level)


def _place(data: bytes, error: str) -> str:
    found = _BYTE.search(error)
    if not found:
        return ""
    before = data[: int(found[1])]
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return f", at line {line}, column {column}"


class _Inflate:
    """Decompress in steps of bounded size, so that no more than one step is ever held."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: Any = None

    def pieces(self, chunk: bytes) -> Any:
        """What `chunk` inflates to. Raises Refusal 400 when it is not compressed as announced."""
        try:
            if self._stream is None:
                self._stream = zlib.decompressobj(_window(self._encoding, chunk))
            while chunk and not self._stream.eof:
                yield self._stream.decompress(chunk, _STEP)
                chunk = self._stream.unconsumed_tail
        except zlib.error:
            raise self._damaged() from None

    def end(self) -> None:
        """Raises Refusal 400 when the compressed stream is not whole."""
        if self._stream is not None and not self._stream.eof:
            raise self._damaged()

    def _damaged(self) -> Refusal:
        message = f"The body is not whole or not compressed with {self._encoding}, as its Content-Encoding says."
        return Refusal(400, "invalid_encoding", message)


def _window(encoding: str, chunk: bytes) -> int:
    """zlib's word for the format: gzip, deflate with zlib's header as it should be, or bare as some clients send it."""
    if encoding == "gzip":
        return 16 + zlib.MAX_WBITS
    return zlib.MAX_WBITS if chunk[:1] and chunk[0] & 0x0F == 8 else -zlib.MAX_WBITS


@contextmanager
def form_explained() -> Iterator[None]:
    """Turns what the reader of forms raises for a damaged one into Refusal 400."""
    try:
        yield
    except _FORM_ERRORS as error:
        message = f"The form cannot be read: {str(error)[:200] or 'it is damaged or not whole'}. Send it again."
        raise Refusal(400, "invalid_form", message) from error


_FORM_ERRORS: Final = (
    *(ValueError, AssertionError, LookupError, RuntimeError),
    *(HttpProcessingError, web.RequestPayloadError),
)
