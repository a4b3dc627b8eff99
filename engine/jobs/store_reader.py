"""The queries of the store. Each runs on the reading thread, with its connection."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal, select

from engine.jobs.records import UNFINISHED, HistoryEntry, Job, shortened
from engine.jobs.schema import JOBS, SETTINGS, STATE, TEXTS
from engine.jobs.shares import Client, client_of
from engine.jobs.store_errors import StoreError
from engine.jobs.store_rows import SHORT_COLUMNS, checked_job, entry_of, texts_of
from engine.jobs.store_texts import fill
from engine.jobs.store_unreadable import Unreadable

_log = logging.getLogger(__name__)

_UNREADABLE: Final = object()

_ENDED = JOBS.c.end_number.is_not(None)
_ACCOUNTS = 1_000
_SORTS = {"created_at": JOBS.c.sequence, "execution_duration": JOBS.c.ended - JOBS.c.started}
_LONG = ("prompt", "extra_data", "outputs", "messages", "meta", "nodes")
_SHORT = [JOBS.c[name] for name in SHORT_COLUMNS]

SORTS = frozenset(_SORTS)
"""What `ended_jobs` can sort by."""


def unfinished(connection: Connection) -> tuple[list[Job], list[Unreadable]]:
    """Jobs that are queued or were running, in their order, long texts left on disk; and rows that are no such jobs."""
    query = select(JOBS).where(JOBS.c.end_number.is_(None)).order_by(JOBS.c.number, JOBS.c.sequence)
    jobs: list[Job] = []
    unreadable: list[Unreadable] = []
    for found in connection.execute(query):
        row = dict(found._mapping)
        fill(connection, row)
        try:
            jobs.append(shortened(checked_job(row)))
        except (msgspec.MsgspecError, TypeError, ValueError) as problem:
            unreadable.append(Unreadable(row, str(problem)))
    return jobs, unreadable


def whole(connection: Connection, job: Job) -> Job:
    """`job` with its texts. Raises StoreError."""
    columns = (JOBS.c.sequence, JOBS.c.prompt, JOBS.c.checked, JOBS.c.extra_data)
    with _one_moment(connection):
        found = connection.execute(select(*columns).where(JOBS.c.id == job.id)).first()
        if found is None:
            raise StoreError(f"The job {job.id} is not in the store any more.")
        row = dict(found._mapping)
        fill(connection, row)
    prompt, checked, extra_data = texts_of(row)
    return msgspec.structs.replace(job, prompt=prompt, checked=checked, extra_data=extra_data, long=False)


def last_end(connection: Connection) -> int:
    """The greatest number of an end that is still known."""
    found = connection.exec_driver_sql("SELECT max(end_number) FROM jobs").scalar()
    return int(found or 0)


def last_sequence(connection: Connection) -> int:
    """The greatest sequence that was ever given, deleted jobs included."""
    found = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").scalar()
    return int(found or 0)


def history(connection: Connection, max_items: int | None, offset: int | None, owner: str | None) -> list[HistoryEntry]:
    """A part of the history, or of an owner's, oldest first: the newest `max_items`, or so many from `offset` on."""
    query, newest_first = _part(select(JOBS), max_items, offset, owner)
    with _one_moment(connection):
        entries = _entries(connection, query)
    return entries[::-1] if newest_first else entries


def history_sizes(
    connection: Connection, max_items: int | None, offset: int | None, owner: str | None
) -> list[tuple[str, int]]:
    """(id, bytes) of the entries of such a part."""
    size = sum((func.coalesce(func.length(JOBS.c[name]), 0) for name in _LONG), literal(0))
    pieces = select(func.coalesce(func.sum(func.length(TEXTS.c.data)), 0)).where(TEXTS.c.sequence == JOBS.c.sequence)
    query, newest_first = _part(select(JOBS.c.id, size + pieces.scalar_subquery()), max_items, offset, owner)
    found = [(id, int(size)) for id, size in connection.execute(query)]
    return found[::-1] if newest_first else found


def _part(query: Select[Any], max_items: int | None, offset: int | None, owner: str | None) -> tuple[Select[Any], bool]:
    """The query for a part of the history, and whether it gives the newest first."""
    query = query.where(_ENDED) if owner is None else query.where(_ENDED, JOBS.c.owner == owner)
    if max_items is not None and max_items < 0:
        max_items = None
    if max_items is not None and (offset is None or offset < 0):
        return query.order_by(JOBS.c.end_number.desc()).limit(max_items), True
    oldest = query.order_by(JOBS.c.end_number)
    if max_items is not None:
        oldest = oldest.limit(max_items)
    return oldest.offset(max(0, offset)) if offset else oldest, False


def history_entry(connection: Connection, job_id: str) -> HistoryEntry | None:
    """The entry of one job."""
    with _one_moment(connection):
        found = _entries(connection, select(JOBS).where(_ENDED, JOBS.c.id == job_id))
    return found[0] if found else None


def ended_jobs(
    connection: Connection,
    statuses: Collection[str],
    *,
    limit: int,
    offset: int,
    sort: str,
    descending: bool,
    workflow_id: str | None,
    owner: str | None,
    without: Collection[str],
    before: int | None = None,
) -> tuple[list[HistoryEntry], int]:
    """A page of short entries, and how many there are in all; jobs with an id in `without` do not count."""
    which: list[ColumnElement[bool]] = [JOBS.c.status.in_([status for status in statuses if status not in UNFINISHED])]
    if workflow_id is not None:
        which.append(JOBS.c.workflow_id == workflow_id)
    if before is not None:
        which.append(JOBS.c.sequence < before)
    if owner is not None:
        which.append(JOBS.c.owner == owner)
    if without:
        which.append(JOBS.c.id.not_in(select(_each(without))))
    keys = dict.fromkeys((_SORTS[sort], JOBS.c.sequence))
    order = [key.desc() if descending else key for key in keys]
    page = select(*_SHORT).where(*which).order_by(*order).limit(limit).offset(offset)
    with _one_moment(connection):
        total = connection.execute(select(func.count()).select_from(JOBS).where(*which)).scalar_one()
        return _entries(connection, page), total


def accounts(connection: Connection) -> list[tuple[Client, float]]:
    """The accounts that the newest jobs that have ended left to their clients."""
    columns = (JOBS.c.owner, JOBS.c.client_id, JOBS.c.account)
    query = select(*columns).where(_ENDED).order_by(JOBS.c.end_number.desc()).limit(_ACCOUNTS)
    found = connection.execute(query).all()
    return [(client_of(owner, client), account) for owner, client, account in found if isinstance(account, float)]


def _each(ids: Collection[str]) -> ColumnElement[str]:
    """Ids as rows, of which there may be more than a statement may have parameters."""
    rows = func.json_each(msgspec.json.encode([*ids]).decode()).table_valued("value")
    return rows.c.value


def counts(connection: Connection) -> dict[str, int]:
    """How many jobs there are of each status."""
    found = connection.execute(select(JOBS.c.status, func.count()).group_by(JOBS.c.status))
    by_status = {"queued": 0, "running": 0, "done": 0, "failed": 0, "cancelled": 0}
    by_status.update((status, number) for status, number in found)
    return by_status


def settings(connection: Connection, user: str) -> dict[str, Any]:
    """All settings of a user."""
    found = connection.execute(select(SETTINGS.c.id, SETTINGS.c.value).where(SETTINGS.c.owner == user))
    readable = ((id, _decoded(value, f"The setting {id} of {user}")) for id, value in found)
    return {id: value for id, value in readable if value is not _UNREADABLE}


def setting(connection: Connection, user: str, key: str) -> Any | None:
    """One setting of a user; None when it was never set."""
    return _json(connection, select(SETTINGS.c.value).where(SETTINGS.c.owner == user, SETTINGS.c.id == key))


def state(connection: Connection, key: str) -> Any | None:
    """What the server kept under `key`; None when nothing."""
    return _json(connection, select(STATE.c.value).where(STATE.c.key == key))


@contextmanager
def _one_moment(connection: Connection) -> Iterator[None]:
    """All queries in it see the same state of the database."""
    connection.exec_driver_sql("BEGIN")
    try:
        yield
    finally:
        connection.exec_driver_sql("COMMIT")


def _entries(connection: Connection, query: Select[Any]) -> list[HistoryEntry]:
    rows: list[Row[Any]] = list(connection.execute(query))
    entries = []
    for found in rows:
        row = dict(found._mapping)
        fill(connection, row)
        try:
            entries.append(entry_of(row))
        except (msgspec.MsgspecError, TypeError, ValueError) as problem:
            _log.error("Entry %s of the history is left out, as it cannot be read: %s", row["sequence"], problem)
    return entries


def _json(connection: Connection, query: Select[Any]) -> Any | None:
    found: bytes | None = connection.execute(query).scalar()
    value = None if found is None else _decoded(found, "A value that the server keeps")
    return None if value is _UNREADABLE else value


def _decoded(value: Any, what: str) -> Any:
    """JSON; what cannot be read is told, and as if it had never been kept."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, TypeError, ValueError) as problem:
        _log.error("%s is left out, as it cannot be read: %s", what, problem)
        return _UNREADABLE
