"""The SQLite file of a cache folder: records, small values, the index of value files, digests of files.

Write-ahead logging makes every commit whole or absent, whatever kills the process, and lets several processes share the
folder. A cache must never be why a run fails, so every SQLite error becomes one warning and an answer of "not there". A file
that turns out to be damaged, at the start or later, is put aside and a new one begun.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Statement: TypeAlias = tuple[str, Iterable[Sequence[Any]]]
"""An SQL statement and the rows to run it for."""

BUSY_SECONDS = 10.0
"""How long to wait for other processes that write."""

LAYOUT = 2
"""Raised when tables or encodings change; a folder of another layout starts anew."""

TABLES = (
    "CREATE TABLE IF NOT EXISTS actions (key BLOB PRIMARY KEY, record BLOB, made INTEGER) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS small (digest BLOB PRIMARY KEY, payload BLOB) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS big (digest BLOB PRIMARY KEY, size INTEGER, used INTEGER)",
    "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, digest BLOB)",
)
NAMES = ("actions", "small", "big", "files")


class Database:
    """One SQLite file, safe to use from several threads: one connection for reading, one for writing."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self.path = path
        self._warn = warn
        self.on_renewed: Callable[[], None] | None = None
        """Called when a damaged file was put aside and a new one begun."""
        self._read_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._inode: int | None = None
        """Of the file that the connections have open."""
        self._open()

    def row(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """First row of a query, or None; also None when the file cannot be read."""
        found = self._read(lambda reader: reader.execute(sql, values).fetchone())
        return found if isinstance(found, tuple) else None

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; empty when the file cannot be read."""
        return self._read(lambda reader: reader.execute(sql, values).fetchall()) or []

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One read transaction around many queries: half the price for each."""
        began = self._try_begin()
        try:
            yield
        finally:
            if began:
                self._end()

    def write(self, statements: Sequence[Statement]) -> bool:
        """Run the statements in one transaction; False (after a warning) when nothing was written."""
        for _ in range(2):  # the second time into a new file
            with self._write_lock:
                writer = self._writer
                if writer is None:
                    return False
                try:
                    with writer:
                        writer.execute("BEGIN IMMEDIATE")
                        for sql, rows in statements:
                            writer.executemany(sql, rows)
                except sqlite3.Error as error:
                    failure = error
                else:
                    return True
            self._fail("write", failure, writer)
            if self._writer is writer:
                break
        return False

    def clear(self) -> bool:
        """Empty every table and give the space back; whether that succeeded. A damaged file is put aside."""
        emptied = self.write([(f"DELETE FROM {name}", [()]) for name in NAMES])
        with self._write_lock:
            if self._writer is not None:
                try:
                    self._writer.execute("VACUUM")
                    self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                except sqlite3.Error as error:
                    if not _is_damage(error):  # another process reads: the space comes back later
                        self._warn(f"Cache {self.path} was emptied but not yet shrunk: {error}.")
        sound = self.row("PRAGMA quick_check(1)")
        if sound is not None and sound != ("ok",):
            self._renew(sqlite3.DatabaseError(str(sound[0])), self._reader)
        left = [name for name in NAMES if self.row(f"SELECT 1 FROM {name} LIMIT 1") is not None]
        return self._reader is not None and (emptied or not left)

    def close(self) -> None:
        """Close both connections."""
        with self._read_lock, self._write_lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def _open(self) -> None:
        try:
            self._connect()
        except (OSError, sqlite3.OperationalError) as error:
            self._fail("open", error, None)
        except sqlite3.DatabaseError as error:
            self._put_aside(error)

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T | None:
        with self._read_lock:
            reader = self._reader
            if reader is None:
                return None
            try:
                return query(reader)
            except sqlite3.Error as error:
                failure = error
        self._fail("read", failure, reader)
        return None

    def _renew(self, error: sqlite3.Error, connection: sqlite3.Connection | None) -> None:
        """Put the damaged file aside that `connection` has open, unless another thread has done so by now."""
        with self._read_lock, self._write_lock:
            if connection is None or connection not in (self._reader, self._writer):
                return
            self._put_aside(error)
        if self._reader is not None and self.on_renewed is not None:
            self.on_renewed()

    def _connect(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = None
        self._writer = _connection(self.path)
        self._inode = self.path.stat().st_ino
        if self._writer.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
            with self._writer:
                self._writer.execute("BEGIN IMMEDIATE")
                if self._writer.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
                    for name in NAMES:
                        self._writer.execute(f"DROP TABLE IF EXISTS {name}")
                    for table in TABLES:
                        self._writer.execute(table)
                    self._writer.execute(f"PRAGMA user_version = {LAYOUT}")
        self._reader = _connection(self.path)

    def _put_aside(self, error: sqlite3.Error) -> None:
        """The file is no database: keep it under another name and start anew."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None
        aside = self.path.with_name(self.path.name + ".broken")
        self._warn(
            f"Cache file {self.path} is unreadable ({error}); it is kept as {aside.name} and a new one is begun."
        )
        try:
            if self._inode in (None, self.path.stat().st_ino):  # else another process has done so, and this one follows
                self.path.replace(aside)
                for suffix in ("-wal", "-shm"):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self._connect()
        except (OSError, sqlite3.Error) as again:
            self._fail("open", again, None)

    def _try_begin(self) -> bool:
        with self._read_lock:
            if self._reader is None or self._reader.in_transaction:
                return False
            try:
                self._reader.execute("BEGIN")
            except sqlite3.Error:
                return False
            return True

    def _end(self) -> None:
        with self._read_lock:
            if self._reader is not None and self._reader.in_transaction:
                self._reader.execute("COMMIT")

    def _fail(self, what: str, error: Exception, connection: sqlite3.Connection | None) -> None:
        """Begin anew where the file is damaged. Else say once that the disk part is off, and go on in RAM.

        Where others only hold the file for long, just go on. Called without the locks, unless while opening.
        """
        if _is_busy(error) and self._writer is not None:
            return
        if connection is not None and isinstance(error, sqlite3.Error) and _is_damage(error):
            self._renew(error, connection)
            return
        self._reader = self._writer = None
        self._warn(
            f"Cannot {what} the cache file {self.path}: {error}. This session goes on with results in RAM only. "
            f"Check free space and permissions of that folder."
        )


def _connection(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode. Changing to that mode does not wait for other processes that do the same, so we do."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > give_up:
                connection.close()
                raise
            time.sleep(0.01)
        else:
            return connection


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault, and not the disk or who else uses it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or str(error).startswith("no such table")


def _is_busy(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
