"""The statements that every job goes through, each for many rows at once.

One statement with many rows costs the writer thread one wait for the interpreter lock where a row at a time would cost one
each, which is what keeps it fast while the event loop is busy. Rows go in portions of powers of two, so that few different
texts exist and SQLite has each compiled.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice
from typing import TypeAlias

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


Step: TypeAlias = tuple[str, tuple[object, ...]]
"""The text of a statement, and its parameters."""


def steps(statement: Statement, rows: Sequence[Row]) -> list[Step]:
    """What to run to have a statement run for all rows."""
    return [(statement(len(portion)), tuple(chain.from_iterable(portion))) for portion in portions(rows)]


def write(driver: sqlite3.Connection, statement: Statement, rows: Sequence[Row]) -> None:
    """Run a statement for all rows."""
    for text, values in steps(statement, rows):
        driver.execute(text, values)


def known_ids(driver: sqlite3.Connection, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that a job in the table has."""
    return {id for text, values in steps(find_ids, [(id,) for id in ids]) for (id,) in driver.execute(text, values)}


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
    if rows == 1:  # without the table of what is given
        sets = ", ".join(f"{name} = ?{place}" for place, name in enumerate(columns[1:], 2))
        return f"UPDATE jobs SET {sets} WHERE id = ?1 AND ended IS NULL"
    sets = ", ".join(f"{name} = given.{name}" for name in columns[1:])
    return (
        f"WITH given ({', '.join(columns)}) AS (VALUES {_values(len(columns), rows)}) "
        f"UPDATE jobs SET {sets} FROM given WHERE jobs.id = given.id AND jobs.ended IS NULL"
    )
