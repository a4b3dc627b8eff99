"""What the writing thread does when nothing else waits: deletes the oldest history, gives pages back to the disk."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Connection

STEP = 200
"""Entries deleted in one transaction."""

PAGES = 1000
"""Unused pages that are not worth giving back, and pages given back in one transaction."""

_DELETE_OLDEST = (
    "DELETE FROM jobs WHERE sequence IN "
    "(SELECT sequence FROM jobs WHERE end_number IS NOT NULL ORDER BY end_number LIMIT ?)"
)


class Tidier:
    """Keeps the history at `limit` entries (None: all of it), and the file not much larger than its content."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._slack = 0 if limit is None else limit // 100
        self.ended: int = 0
        """At most so many more entries than `_counted` are there."""
        self._counted: int | None = None
        self._vacuum = False

    @property
    def busy(self) -> bool:
        """There is more to do."""
        return self._vacuum or self._excess > self._slack

    @property
    def overdue(self) -> bool:
        """There is so much to do that it cannot wait for a quiet moment."""
        return self._excess > self._slack + 10 * STEP

    def deleted(self) -> None:
        """Entries were deleted: count anew and look for pages to give back."""
        self._counted = None
        self._vacuum = True

    def rest(self) -> None:
        """Leave it until the next write, for it did not work."""
        self._counted = None
        self._vacuum = False

    def step(self, connection: Connection) -> None:
        """Do a little, in one transaction."""
        if self._limit is not None and self._counted is None:
            self._count(connection)
        if self._excess > self._slack:
            self._count(connection)
            self._trim(connection)
        elif self._vacuum:
            self._vacuum = _give_back_pages(connection)

    @property
    def _excess(self) -> int:
        if self._limit is None or self._counted is None:
            return 0
        return self._counted + self.ended - self._limit

    def _count(self, connection: Connection) -> None:
        self._counted = connection.exec_driver_sql(
            "SELECT count(*) FROM jobs WHERE end_number IS NOT NULL"
        ).scalar_one()
        self.ended = 0

    def _trim(self, connection: Connection) -> None:
        if self._excess > self._slack:
            deleted = connection.exec_driver_sql(_DELETE_OLDEST, (min(self._excess, STEP),)).rowcount
            self.ended -= deleted


def _give_back_pages(connection: Connection) -> bool:
    """Shorten the file a little; whether there may be more to give back."""
    unused = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    if unused < PAGES or unused < pages // 4:
        return False
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.executescript(
        f"PRAGMA incremental_vacuum({PAGES})"
    )  # gives back a page a step; execute() takes one step only
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
    return True
