"""Large bodies: each waits in a file until it is its turn, so that many at once take no more memory than one."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Final, ParamSpec, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from engine.jobs.turns import Turns
from engine.server.saving import explained

WRITTEN_AT_ONCE: Final = 1024 * 1024
"""Bytes that are gathered for one write."""

WRITERS: Final = 2
"""Threads for these files. On those that everybody uses, twenty bodies and a slow disk would keep all others waiting."""

P = ParamSpec("P")
T = TypeVar("T")

_TURN: Final = "large body"


class LargeBodies:
    """Keeps bodies in files of `folder` that have no name, so that they are gone with the process, whatever ends it."""

    def __init__(self, turns: Turns, folder: Callable[[], Path | None] = lambda: None) -> None:
        self._turns = turns
        self._folder = folder
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="large-bodies")

    async def open(self) -> IO[bytes]:
        """A file for one body. Raises Refusal 507 when the disk is full, as `write` and `read` do."""
        with explained():
            return await self._apart(lambda: tempfile.TemporaryFile(dir=self._folder()))

    async def write(self, file: IO[bytes], data: bytes) -> None:
        """Append to such a file."""
        with explained():
            await self._apart(file.write, data)

    async def read(self, request: web.Request, file: IO[bytes]) -> bytes:
        """All that was written, once it is the request's turn; that ends with the request."""
        if _TURN not in request:
            await self._turns.begin()
            request[_TURN] = True
        with explained():
            return await self._apart(_read, file)

    async def _apart(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *args, **kwargs))

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ends the turn of a request with its answer."""
        try:
            return await handler(request)
        finally:
            self.let_go(request)

    def let_go(self, request: web.Request) -> None:
        """End the turn of a request before its answer: its body is worked through, and what follows may take long."""
        if request.pop(_TURN, False):
            self._turns.end()


BODIES: web.AppKey[LargeBodies] = web.AppKey("large bodies", LargeBodies)


class Gathered:
    """A body as it comes: in memory while it is small, then in a file."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._bodies = request.app.get(BODIES)
        self._parts: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    async def add(self, chunk: bytes) -> None:
        """Take a piece. One-byte pieces are joined now and then: each would cost fifty times its size."""
        self._parts.append(chunk)
        self._size += len(chunk)
        if self._size >= WRITTEN_AT_ONCE and self._bodies is not None:
            if self._file is None:
                self._file = await self._bodies.open()
            await self._bodies.write(self._file, self._joined())
        elif len(self._parts) > _MOST_PARTS:
            self._parts = [b"".join(self._parts)]

    async def whole(self) -> bytes:
        """All of it; when it is large, once it is its turn."""
        if self._file is None or self._bodies is None:
            return self._joined()
        await self._bodies.write(self._file, self._joined())
        return await self._bodies.read(self._request, self._file)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what is left to be written does not fit either, and is not needed
                self._file.close()

    def _joined(self) -> bytes:
        parts, self._parts, self._size = self._parts, [], 0
        return b"".join(parts)


_MOST_PARTS: Final = 1024


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    data = file.read()
    file.close()
    return data
