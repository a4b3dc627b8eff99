"""The durable store of jobs, history and settings: what it has accepted is on the disk, whatever kills the process.

One SQLite file in write-ahead mode. All writes go through one thread that commits everything pending at once, so a hundred
jobs posted together cost one flush of the disk; reads have a connection and a thread of their own and never wait for a
commit. SQLAlchemy is imported when the store is opened, on another thread, for a server answers before that.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from engine.jobs.records import HistoryEntry, Job, Outcome, Settings, is_long
from engine.jobs.shares import Client
from engine.jobs.store_errors import StoreError
from engine.jobs.store_rows import change_row, end_row, job_row, long_texts
from engine.jobs.store_writes import Accept, Call, End

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.jobs.store_writer import Writer

P = ParamSpec("P")
T = TypeVar("T")

RESERVE = 32 * 1024 * 1024
"""Bytes of disk that are left for the ends of accepted jobs."""

HISTORY_LIMIT = 10_000


class JobStore:
    """All of it. Methods are called on the event loop that `open` ran on, by any number of tasks at once.

    Cancelling a task that waits in here does not undo its write: shield what must not end between.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int | None = None,
        reserve: int = RESERVE,
        history_limit: int | None = HISTORY_LIMIT,
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._reserve = reserve
        self._history_limit = history_limit
        self._last_sequence = 0
        self._reads = ThreadPoolExecutor(1, thread_name_prefix="job-store-reader")
        self._reader: Connection | None = None
        self._writer: Writer | None = None

    # -- life

    async def open(self) -> list[Job]:
        """Create or migrate the file. Gives the unfinished jobs by (number, sequence); those that ran still say so.

        A damaged file is moved aside and a new one started; rows that cannot be read are put aside and end as failed.
        Raises `StoreVersionError` for one of a newer version.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reads, self._open, loop)

    async def close(self) -> None:
        """Write all that was asked for, then close. Calling again does nothing."""
        writer, self._writer = self._writer, None
        reader, self._reader = self._reader, None
        if writer is not None and reader is not None:
            writer.push()
            await asyncio.get_running_loop().run_in_executor(self._reads, self._close, writer, reader)
        self._reads.shutdown(wait=False)

    # -- what is known at once

    @property
    def next_sequence(self) -> int:
        """The sequence of the next job: one more than the greatest that `accept` ever got, deleted ones included."""
        return self._last_sequence + 1

    @property
    def waiting(self) -> int:
        """How many jobs have ended without room on the disk to say so. They are tried again until it works."""
        return 0 if self._writer is None else self._writer.waiting

    def free_bytes(self) -> int:
        """Free space of the disk that holds the store."""
        return shutil.disk_usage(self.path.parent).free

    def is_low(self) -> bool:
        """New jobs are refused, or the next one would be."""
        refusing = self._writer is not None and self._writer.refusing
        return refusing or self.free_bytes() < self._reserve

    # -- jobs

    async def accept(self, jobs: Sequence[Job]) -> None:
        """Store new jobs, all or none; they are on the disk when this returns.

        Raises `StoreFullError` and `DuplicateJobError`.
        """
        if jobs:
            self._last_sequence = max(self._last_sequence, *(job.sequence for job in jobs))
            waiter = self._waiter()
            texts = [texts for job in jobs if (texts := long_texts(job)) is not None]
            self._write_to().submit(Accept([job_row(job) for job in jobs], texts, waiter))
            del texts  # of long ones no more is held than must be
            await waiter

    async def whole(self, job: Job) -> Job:
        """The job with its texts, which one with `long` lacks. Raises StoreError when it is not there any more."""
        from engine.jobs import store_reader

        return await self._read(store_reader.whole, job) if job.long else job

    def began(self, job: Job) -> None:
        """A job runs: store its status, attempts and start soon. Without effect on one that has ended."""
        self.moved((job,))

    def requeued(self, job: Job) -> None:
        """A job waits again: store its status soon. Without effect on one that has ended."""
        self.moved((job,))

    def moved(self, jobs: Sequence[Job]) -> None:
        """Jobs have new places in the queue: store their numbers soon. Without effect on those that have ended."""
        self._write_to().change({job.id: change_row(job) for job in jobs})

    async def finish(self, job: Job, outcome: Outcome) -> None:
        """Make a job an entry of the history; it is on the disk when this returns. A second end of one job is ignored.

        On a full disk this tries until there is room (see `waiting`).
        """
        waiter = self._waiter()
        self._write_to().submit(End(end_row(job, outcome), waiter, job.long or is_long(job)))
        await waiter

    async def remove(self, ids: Sequence[str]) -> None:
        """Forget jobs that have not ended, as if they had never been accepted; other ids are ignored."""
        from engine.jobs import store_calls

        await self._call(store_calls.remove_waiting(ids))

    async def counts(self) -> dict[str, int]:
        """How many jobs there are of each status, in queue and history; every status is there."""
        from engine.jobs import store_reader

        return await self._read(store_reader.counts)

    async def accounts(self) -> list[tuple[Client, float]]:
        """The accounts of clients (`Job.account`) as the newest thousand jobs that have ended left them."""
        from engine.jobs import store_reader

        return await self._read(store_reader.accounts)

    # -- history

    async def history(
        self, *, max_items: int | None = None, offset: int | None = None, owner: str | None = None
    ) -> list[HistoryEntry]:
        """Entries by end, oldest first: from `offset` on, or without one (or with a negative one) the newest `max_items`.

        With `owner` only those of its jobs, here and below.
        """
        from engine.jobs import store_reader

        return await self._read(store_reader.history, max_items, offset, owner)

    async def history_sizes(
        self, *, max_items: int | None = None, offset: int | None = None, owner: str | None = None
    ) -> list[tuple[str, int]]:
        """(id, bytes) of the entries that `history` would give: many long ones are better read one by one."""
        from engine.jobs import store_reader

        return await self._read(store_reader.history_sizes, max_items, offset, owner)

    async def history_entry(self, job_id: str) -> HistoryEntry | None:
        """The entry of one job."""
        from engine.jobs import store_reader

        return await self._read(store_reader.history_entry, job_id)

    async def finished(
        self,
        statuses: Collection[str],
        *,
        limit: int,
        offset: int,
        sort: str = "created_at",
        descending: bool = True,
        workflow_id: str | None = None,
        owner: str | None = None,
        without: Collection[str] = (),
        before: int | None = None,
    ) -> tuple[list[HistoryEntry], int]:
        """A page of entries for a list, and how many there are in all. `sort` is `created_at` or `execution_duration`.

        Jobs with an id in `without` are left out, and not counted, and so are those whose sequence is not below `before`.
        What is long is left empty in them: prompt, extra_data, outputs, meta, messages, nodes.
        """
        from engine.jobs import store_reader

        return await self._read(
            store_reader.ended_jobs,
            statuses,
            limit=limit,
            offset=offset,
            sort=sort,
            descending=descending,
            workflow_id=workflow_id,
            owner=owner,
            without=without,
            before=before,
        )

    async def clear_history(self, owner: str | None = None) -> None:
        """Delete all entries, or those of an owner."""
        from engine.jobs import store_calls

        await self._call(store_calls.clear_history(owner), deletes=True)

    async def delete_history(self, ids: Sequence[str], owner: str | None = None) -> None:
        """Delete some entries; ids of no entry are ignored, and with `owner` those of others' entries."""
        from engine.jobs import store_calls

        await self._call(store_calls.delete_history(ids, owner), deletes=True)

    # -- settings and state

    async def settings(self, user: str) -> Settings:
        """All settings of a user."""
        from engine.jobs import store_reader

        return await self._read(store_reader.settings, user)

    async def setting(self, user: str, key: str) -> Any | None:
        """One setting of a user, or None."""
        from engine.jobs import store_reader

        return await self._read(store_reader.setting, user, key)

    async def update_settings(self, user: str, values: Settings) -> None:
        """Set some settings of a user, all or none; the others stay."""
        from engine.jobs import store_calls

        await self._call(store_calls.put_settings(user, values))

    async def get_state(self, key: str) -> Any | None:
        """What `set_state` kept, or None."""
        from engine.jobs import store_reader

        return await self._read(store_reader.state, key)

    async def set_state(self, key: str, value: Any) -> None:
        """Keep a JSON value of the server's own over restarts."""
        from engine.jobs import store_calls

        await self._call(store_calls.put_state(key, value))

    # -- threads

    def _open(self, loop: asyncio.AbstractEventLoop) -> list[Job]:
        from engine.jobs import store_reader
        from engine.jobs.store_database import connect_to_read, open_database
        from engine.jobs.store_unreadable import put_aside
        from engine.jobs.store_writer import Writer

        connection, (jobs, unreadable) = open_database(self.path, self._max_bytes, store_reader.unfinished)
        put_aside(connection, unreadable, self.path)
        self._reader = connect_to_read(self.path)
        self._last_sequence = store_reader.last_sequence(self._reader)
        self._writer = Writer(
            connection,
            loop,
            folder=self.path.parent,
            reserve=self._reserve,
            max_bytes=self._max_bytes,
            history_limit=self._history_limit,
        )
        return jobs

    def _close(self, writer: Writer, reader: Connection) -> None:
        from engine.jobs.store_database import close

        close(reader)
        writer.stop()

    async def _read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        from engine.jobs.store_database import reading

        if self._reader is None:
            raise StoreError(f"The job store {self.path} is not open.")
        run = partial(reading, self.path, query, self._reader)
        return await asyncio.get_running_loop().run_in_executor(self._reads, partial(run, *args, **kwargs))

    async def _call(self, run: Callable[[Connection], object], *, deletes: bool = False) -> None:
        waiter = self._waiter()
        self._write_to().submit(Call(run, waiter, deletes))
        await waiter

    def _write_to(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"The job store {self.path} is not open.")
        return self._writer

    def _waiter(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()
