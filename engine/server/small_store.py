"""A small SQLite file of one part of the server, apart from the job store: opened when first asked, on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from engine.jobs.store_errors import StoreError, StoreFullError, StoreVersionError

log = logging.getLogger("safelight.server")

T = TypeVar("T")

_BUSY_SECONDS: Final = 5.0
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


class SmallStore:
    """`schema` is the SQL that makes version `version` of the tables.

    A commit survives the end of the process; a power cut may lose the last ones. What is damaged is moved aside and begun
    anew, as nothing in here cannot be made again.
    """

    def __init__(self, path: Path, schema: str, *, version: int = 1) -> None:
        self.path = path
        self._schema = schema
        self._version = version
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def call(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Run `run` in a transaction on the store's thread: all of it or nothing is written. Raises StoreError."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"store-{self.path.stem}")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, run)

    async def close(self) -> None:
        """Do what was asked for, then close. What is asked afterwards opens it again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)

    # -- on the thread

    def _call(self, run: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._connection = self._connection or self._opened()
            with connection:  # commits, or rolls back
                connection.execute("BEGIN IMMEDIATE")
                return run(connection)
        except sqlite3.Error as error:
            raise self._told(error) from error
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be opened: {error.strerror}. Look at the rights of its folder."
            ) from error

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGED:
                raise
        aside = self._set_aside()
        log.error("%s is damaged. It was moved to %s, and a new one is started.", self.path, aside)
        return self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            found = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if found > self._version:
                raise StoreVersionError(self.path, found, self._version)
            if found < self._version:
                connection.executescript(f"BEGIN; {self._schema}; PRAGMA user_version = {self._version}; COMMIT;")
            return connection
        except BaseException:
            connection.close()
            raise

    def _set_aside(self) -> Path:
        aside = self.path.with_name(
            f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1000}"
        )
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        return aside

    def _told(self, error: sqlite3.Error) -> StoreError:
        if _code(error) in _FULL:
            return StoreFullError(self.path.parent, shutil.disk_usage(self.path.parent).free)
        return StoreError(f"{self.path} could not be read or written: {type(error).__name__}: {error}")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
