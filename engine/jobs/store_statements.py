"""The statements that every job goes through, each for many rows at once.

One statement with many rows costs the writer thread one wait for the interpreter lock where a row at a time would cost one
each, which is what keeps it fast while the event loop is busy. Rows go in portions of powers of two, so that few different
texts exist and SQLite has each compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice
from typing import TypeAlias

from sqlalchemy import Connection

from engine.jobs.store_rows import CHANGE_COLUMNS, END_COLUMNS, JOB_COLUMNS, Row

LARGEST_PORTION = 64

Statement: TypeAlias = Callable[[int], str]
"""Number of rows → the text."""


@cache
def insert_jobs(rows: int) -> str:
    """Insert rows as `job_row` gives them."""
    return f"INSERT INTO jobs ({', '.join(JOB_COLUMNS)}) VALUES {_values(len(JOB_COLUMNS), rows)}"


@cache
def change_jobs(rows: int) -> str:
    """Update jobs that have not ended with rows as `change_row` gives them."""
    return _update(CHANGE_COLUMNS, rows)


@cache
def end_jobs(rows: int) -> str:
    """Update jobs that have not ended with rows as `end_row` gives them."""
    return _update(END_COLUMNS, rows)


@cache
def delete_checked(rows: int) -> str:
    """Delete what would run of long jobs that have ended, by id: the rest of their texts stays."""
    ids = ", ".join("?" * rows)
    return f"DELETE FROM texts WHERE name = 'checked' AND sequence IN (SELECT sequence FROM jobs WHERE id IN ({ids}))"


@cache
def find_ids(rows: int) -> str:
    """Which of some ids are known."""
    return f"SELECT id FROM jobs WHERE id IN ({', '.join('?' * rows)})"


@cache
def delete_ended(rows: int) -> str:
    """Delete entries of the history by id."""
    return f"DELETE FROM jobs WHERE ended IS NOT NULL AND id IN ({', '.join('?' * rows)})"


@cache
def delete_waiting(rows: int) -> str:
    """Delete jobs that have not ended by id."""
    return f"DELETE FROM jobs WHERE ended IS NULL AND id IN ({', '.join('?' * rows)})"


def write(connection: Connection, statement: Statement, rows: Sequence[Row]) -> None:
    """Run a statement for all rows."""
    for portion in portions(rows):
        connection.exec_driver_sql(statement(len(portion)), tuple(chain.from_iterable(portion)))


def known_ids(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that a job in the table has."""
    found: set[str] = set()
    for portion in portions([(id,) for id in ids]):
        rows = connection.exec_driver_sql(find_ids(len(portion)), tuple(chain.from_iterable(portion)))
        found.update(row[0] for row in rows)
    return found


def portions(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows in portions of 64, then 32, 16, … 1."""
    source = iter(rows)
    left = len(rows)
    size = LARGEST_PORTION
    while left:
        while size > left:
            size //= 2
        yield list(islice(source, size))
        left -= size


def _values(columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)


def _update(columns: tuple[str, ...], rows: int) -> str:
    sets = ", ".join(f"{name} = given.{name}" for name in columns[1:])
    return (
        f"WITH given ({', '.join(columns)}) AS (VALUES {_values(len(columns), rows)}) "
        f"UPDATE jobs SET {sets} FROM given WHERE jobs.id = given.id AND jobs.ended IS NULL"
    )
