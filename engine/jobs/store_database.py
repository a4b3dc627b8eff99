"""The database file: opening it, putting a damaged one aside, and how much room is left."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, NullPool, create_engine
from sqlalchemy.exc import DatabaseError, DBAPIError

from engine.jobs.migrations import migrate
from engine.jobs.store_errors import StoreError

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

BUSY_SECONDS = 5.0
"""How long to wait for another program that reads or writes the file."""

CHECKED_BYTES = 64 * 1024 * 1024
"""Files up to this size are read through when they are opened (some ten milliseconds); damage in larger ones shows on use."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def open_database(path: Path, max_bytes: int | None, first: Callable[[Connection], T]) -> tuple[Connection, T]:
    """A connection for writing to the database at `path`, made or migrated as needed, and what `first` reads of it.

    A damaged file is moved aside and a new one made. Raises `StoreError`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _open_sound(path, max_bytes, first)
    except DatabaseError as error:
        if error_code(error) not in _DAMAGED:
            raise StoreError(
                f"{path} cannot be opened: {error.orig}. Is it a folder, or without permission?"
            ) from error
    aside = set_aside(path)
    _log.error(
        "%s is damaged. It was moved to %s, and a new one is started: queue, history and settings are empty.",
        path,
        aside,
    )
    return _open_sound(path, max_bytes, first)


def connect(path: Path) -> Connection:
    """A connection in autocommit mode: transactions are begun and committed where one can read it."""
    options = {"check_same_thread": False, "timeout": BUSY_SECONDS, "cached_statements": 256}
    engine = create_engine(
        URL.create("sqlite", database=str(path)), poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=options
    )
    connection = engine.connect()
    driver_of(connection).text_factory = _text
    return connection


def _text(data: bytes) -> str:
    """A text that is no UTF-8 must not keep the rest of its rows from being read."""
    return data.decode("utf-8", "replace")


def connect_to_read(path: Path) -> Connection:
    """A second connection, which reads what is committed and never waits for the writing one."""
    connection = connect(path)
    connection.exec_driver_sql("PRAGMA query_only = ON")
    return connection


def close(connection: Connection) -> None:
    """Close a connection and let go of the file."""
    engine = connection.engine
    connection.close()
    engine.dispose()


def reading(
    path: Path,
    query: Callable[Concatenate[Connection, P], T],
    connection: Connection,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run a query; an error of the database becomes a `StoreError`."""
    try:
        return query(connection, *args, **kwargs)
    except DBAPIError as error:
        raise StoreError(f"{path} could not be read: {type(error.orig).__name__}: {error.orig}") from error


def set_aside(path: Path) -> Path:
    """Rename a database and its log; where it is now."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{count}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Python's own connection below: what every job goes through costs a quarter of the time on it."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def cause_of(error: Exception) -> BaseException:
    """The driver's error, where there is one below."""
    return (error.orig or error) if isinstance(error, DBAPIError) else error


def error_code(error: Exception) -> int:
    """SQLite's primary result code of an error; 0 when it is none of SQLite's."""
    return int(getattr(cause_of(error), "sqlite_errorcode", 0)) & 0xFF


def room(folder: Path, connection: Connection | None, max_bytes: int | None) -> int:
    """Bytes that can still be written: free on the disk, and up to `max_bytes`."""
    free = shutil.disk_usage(folder).free
    if connection is None or max_bytes is None:
        return free
    pages, unused, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    )
    return min(free, max_bytes - (pages - unused) * size)


def _open_sound(path: Path, max_bytes: int | None, first: Callable[[Connection], T]) -> tuple[Connection, T]:
    connection = connect(path)
    try:
        _set_up(connection, max_bytes)
        if path.stat().st_size <= CHECKED_BYTES:
            _check(connection)
        migrate(connection, path)
        return connection, first(connection)
    except BaseException:
        close(connection)
        raise


def _set_up(connection: Connection, max_bytes: int | None) -> None:
    if connection.exec_driver_sql("PRAGMA page_count").scalar() == 0:
        connection.exec_driver_sql("PRAGMA auto_vacuum = INCREMENTAL")  # counts only before the first table
    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    connection.exec_driver_sql("PRAGMA synchronous = FULL")  # a commit is on the disk, power cut or not
    connection.exec_driver_sql("PRAGMA journal_size_limit = 67108864")
    connection.exec_driver_sql("PRAGMA cache_size = -8000")
    # some builds of SQLite write zeros over all that is deleted, and so each deleted text once more
    connection.exec_driver_sql("PRAGMA secure_delete = FAST")
    if max_bytes is not None:
        page = int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
        connection.exec_driver_sql(f"PRAGMA max_page_count = {max_bytes // page}")


def _check(connection: Connection) -> None:
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        damage = sqlite3.DatabaseError(str(found))
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise DatabaseError("PRAGMA quick_check", None, damage)
