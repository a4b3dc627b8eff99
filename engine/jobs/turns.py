"""One large thing in memory at a time: a posted graph of 60 MB is copied several times until it is on disk, or at a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from engine.jobs import heap

LARGE: Final = 1024 * 1024
"""Bytes from which on something is large."""


class Turns:
    """Whoever works on something large waits for its turn. One object for the whole server."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turn, and have it. What was freed meanwhile goes back to the system."""
        await self.begin()
        try:
            yield
        finally:
            self.end()

    async def begin(self) -> None:
        """Wait for the turn; `end` has to follow."""
        await self._lock.acquire()

    def end(self) -> None:
        """Let the next one have its turn."""
        self._lock.release()
        loop = asyncio.get_running_loop()
        loop.call_later(TRIM_SECONDS, loop.run_in_executor, None, heap.trim)


TRIM_SECONDS: Final = 0.5
"""After a turn, when its last references are gone."""
