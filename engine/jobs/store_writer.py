"""The writing thread: takes all writes that wait, commits them in one transaction, and wakes those who asked.

Writes of one transaction were asked for at the same time, so they are put into an order that makes few statements: new
jobs, changes, ends, everything else. When a transaction fails it is undone whole and tried again in halves, until only the
write at fault is left alone. Changes and ends of jobs that fail for want of room (or of a lock) are kept and tried again.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from engine.jobs import store_statements as statements
from engine.jobs import store_texts
from engine.jobs.store_database import cause_of, close, driver_of, error_code, room
from engine.jobs.store_errors import DuplicateJobError, StoreError, StoreFullError
from engine.jobs.store_reader import last_end
from engine.jobs.store_rows import Row
from engine.jobs.store_tidy import Tidier
from engine.jobs.store_writes import Accept, Call, Change, End, Stop, Waiter, Write

_log = logging.getLogger(__name__)

LARGEST_BATCH = 1024
SOON = 0.02
"""Seconds until a change is written that nobody waits for: the end of a short job comes first, and says it all."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
"""Seconds between two tries to write what did not fit."""

_PASSING = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
}
"""Errors that go away when somebody makes room or lets go of the file."""


class Writer:
    """Owns the writing connection. `submit`, `change` and `push` may be called from the thread of the event loop only."""

    def __init__(
        self,
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
        *,
        folder: Path,
        reserve: int,
        max_bytes: int | None,
        history_limit: int | None,
    ) -> None:
        self._connection = connection
        self._driver = driver_of(connection)
        self._loop = loop
        self._folder = folder
        self._reserve = reserve if max_bytes is None else min(reserve, max_bytes // 8)
        self._max_bytes = max_bytes
        self._tidier = Tidier(history_limit)
        self._last_end = last_end(connection)
        self._asked: SimpleQueue[Write | Stop] = SimpleQueue()
        self._changes: dict[str, Row] = {}
        self._soon: dict[str, Row] = {}
        """Changes that the thread has not been given yet."""
        self._timed = False
        self._kept: list[End] = []
        self._woken: list[tuple[Waiter, Exception | None]] = []
        self._pause = FIRST_PAUSE
        self.refusing = False
        """New jobs were refused for want of room, and none has been accepted since."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="job-store-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many ends of jobs wait for room."""
        return len(self._kept)

    def submit(self, write: Write) -> None:
        """Queue a write; its waiter is woken when it is on the disk or has failed."""
        if isinstance(write, End):
            self._soon.pop(write.row[0], None)
        self.push()
        self._asked.put(write)

    def change(self, rows: Mapping[str, Row]) -> None:
        """Have unfinished jobs updated with the next write, or in a moment."""
        self._soon.update(rows)
        if not self._timed:
            self._timed = True
            self._loop.call_later(SOON, self._push_in_time)

    def push(self) -> None:
        """Queue the changes that wait for another write."""
        if self._soon:
            self._asked.put(Change(self._soon))
            self._soon = {}

    def _push_in_time(self) -> None:
        self._timed = False
        self.push()

    def stop(self) -> None:
        """Write everything that was submitted, close the connection and end the thread. Blocks."""
        self._asked.put(Stop())
        self._thread.join()

    # -- the thread

    def _run(self) -> None:
        while not self._stopping:
            batch = self._next_batch()
            try:
                self._commit(self._with_room(batch))
            except Exception as error:  # this thread must live: all writes go through it
                _log.exception("The job store failed to write")
                self._woken.extend(
                    (write.waiter, self._told(error)) for write in batch if not isinstance(write, Change)
                )
            del batch  # while it waits for the next one: posted texts may be long
            self._wake()
            self._tidy()
        self._give_up()
        try:
            close(self._connection)
        except DBAPIError as error:
            _log.warning("The job store was not closed cleanly: %s", error.orig)

    def _next_batch(self) -> list[Write]:
        accepts: list[Write] = []
        ends: list[Write] = list(self._kept)
        calls: list[Write] = []
        for write in self._take():
            match write:
                case Accept():
                    accepts.append(write)
                case Change():
                    self._changes.update(write.rows)
                case End():
                    ends.append(write)
                case Call():
                    calls.append(write)
                case _:
                    self._stopping = True
        self._kept = []
        changes: list[Write] = [Change(self._changes)] if self._changes else []
        self._changes = {}
        return [*accepts, *changes, *ends, *calls]

    def _take(self) -> list[Write | Stop]:
        """Everything that was submitted; waits for the first."""
        taken: list[Write | Stop] = []
        try:
            taken.append(self._asked.get(timeout=self._patience()))
            while len(taken) < LARGEST_BATCH:
                taken.append(self._asked.get_nowait())
        except Empty:
            pass
        return taken

    def _patience(self) -> float | None:
        if self._kept or self._changes:
            return self._pause
        return 0.01 if self._tidier.busy else None

    def _commit(self, writes: Sequence[Write]) -> None:
        """Write all of `writes`; settle each."""
        if not writes:
            return
        try:
            self._transaction(writes)
        except Exception as error:  # SQLite's own, or a value that it cannot take
            if len(writes) == 1:
                self._fail(writes[0], error)
                return
            middle = len(writes) // 2
            self._commit(writes[:middle])
            self._commit(writes[middle:])

    def _transaction(self, writes: Sequence[Write]) -> None:
        accepted = [write for write in writes if isinstance(write, Accept)]
        doubled: list[tuple[Accept, list[str]]] = []
        try:
            self._write(accepted, writes)
        except sqlite3.IntegrityError:
            accepted, doubled = self._new_ones(accepted)
            if not doubled:
                raise
            self._write(accepted, writes)
        if any(isinstance(write, Call) and write.deletes for write in writes):
            self._tidier.deleted()
        self._pause = FIRST_PAUSE
        self._woken.extend((write.waiter, DuplicateJobError(ids)) for write, ids in doubled)
        self._woken.extend((write.waiter, None) for write in accepted)
        self._woken.extend((write.waiter, None) for write in writes if isinstance(write, End | Call))

    def _write(self, accepted: Sequence[Accept], writes: Sequence[Write]) -> None:
        """Write new jobs, and what else is among `writes`, in one transaction."""
        texts = [texts for write in accepted for texts in write.texts]
        new = statements.steps(statements.insert_jobs, [row for write in accepted for row in write.rows])
        ends, steps = self._of_jobs(writes)
        calls = [write for write in writes if isinstance(write, Call)]
        if len(new) + len(steps) == 1 and not texts and not calls:
            self._driver.execute(*(new or steps)[0])  # a statement alone is a transaction
        else:
            self._driver.execute("BEGIN IMMEDIATE")
            try:
                for step in new:
                    self._driver.execute(*step)
                for one in texts:
                    store_texts.insert(self._connection, one)
                for step in steps:
                    self._driver.execute(*step)
                for write in calls:
                    write.run(self._connection)
                self._driver.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
        self._tidier.ended += ends

    def _of_jobs(self, writes: Sequence[Write]) -> tuple[int, list[statements.Step]]:
        """How many jobs end, and what is to be run for changes and ends."""
        changes: dict[str, Row] = {}
        ends: dict[str, Row] = {}
        long: list[Row] = []
        for write in writes:
            if isinstance(write, Change):
                changes.update(write.rows)
            elif isinstance(write, End):
                ends.setdefault(write.row[0], write.row)
                if write.long:
                    long.append((write.row[0],))
        return len(ends), [
            *statements.steps(statements.change_jobs, [row for id, row in changes.items() if id not in ends]),
            *statements.steps(statements.end_jobs, self._numbered(ends.values())),
            *statements.steps(statements.delete_checked, long),
        ]

    def _numbered(self, ends: Iterable[Row]) -> list[Row]:
        """Give each end its place among all: clocks may jump. What is given in vain leaves a gap."""
        first = self._last_end + 1
        numbered = [(*row, first + offset) for offset, row in enumerate(ends)]
        self._last_end += len(numbered)
        return numbered

    def _with_room(self, writes: list[Write]) -> list[Write]:
        """Refuse new jobs while little room is left: what is left is for the ends of those accepted before."""
        accepts = [write for write in writes if isinstance(write, Accept)]
        if not accepts:
            return writes
        free = room(self._folder, self._connection, self._max_bytes)
        self.refusing = free < self._reserve
        if not self.refusing:
            return writes
        self._woken.extend((write.waiter, StoreFullError(self._folder, free)) for write in accepts)
        return [write for write in writes if not isinstance(write, Accept)]

    def _new_ones(self, accepts: list[Accept]) -> tuple[list[Accept], list[tuple[Accept, list[str]]]]:
        """Those with new ids, and the others with the ids that are known."""
        known = statements.known_ids(self._driver, [id for write in accepts for id in write.ids])
        new: list[Accept] = []
        doubled: list[tuple[Accept, list[str]]] = []
        for write in accepts:
            ids = set(write.ids)
            again = known & ids
            if again or len(ids) < len(write.rows):
                doubled.append((write, sorted(again or ids)))
            else:
                new.append(write)
                known |= ids
        return new, doubled

    def _undo(self) -> None:
        """Roll back, unless SQLite has done so by itself."""
        if self._driver.in_transaction:
            self._driver.execute("ROLLBACK")

    def _fail(self, write: Write, error: Exception) -> None:
        passing = isinstance(error, sqlite3.OperationalError | OperationalError) and error_code(error) in _PASSING
        if passing and isinstance(write, End | Change):
            self._keep(write, error)
        elif isinstance(write, Change):
            _log.error("The state of job %s could not be stored: %s", ", ".join(write.rows), error)
        else:
            self._woken.append((write.waiter, self._told(error)))

    def _keep(self, write: End | Change, error: Exception) -> None:
        if isinstance(write, End):
            if self._pause == FIRST_PAUSE:  # else: told already
                _log.error(
                    "The end of job %s cannot be stored yet, and is tried again: %s",
                    write.row[0],
                    cause_of(error),
                )
            self._kept.append(write)
        else:
            self._changes = {**write.rows, **self._changes}
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _told(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if error_code(error) == sqlite3.SQLITE_FULL:
            return StoreFullError(self._folder, shutil.disk_usage(self._folder).free)
        cause = cause_of(error)
        return StoreError(f"The job store in {self._folder} could not be written: {type(cause).__name__}: {cause}")

    def _wake(self) -> None:
        woken, self._woken = self._woken, []
        if woken:
            self._on_loop(woken)

    def _on_loop(self, woken: list[tuple[Waiter, Exception | None]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, woken)
        except RuntimeError:  # the loop is closed: nobody waits any more
            _log.debug("%d writes were done after the event loop had ended", len(woken))

    def _tidy(self) -> None:
        if self._stopping or not (self._asked.empty() or self._tidier.overdue):
            return
        try:
            self._tidier.step(self._connection)
        except Exception as error:  # it is only tidying
            self._undo()
            self._tidier.rest()
            _log.warning("Old history could not be deleted: %s", self._told(error))

    def _give_up(self) -> None:
        for end in self._kept:
            _log.error(
                "The end of job %s was not stored: the disk is full. It runs again after the next start.", end.row[0]
            )
        self._on_loop([(end.waiter, StoreFullError(self._folder, 0)) for end in self._kept])


def _settle(woken: list[tuple[Waiter, Exception | None]]) -> None:
    for waiter, error in woken:
        if waiter.done():  # cancelled
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
