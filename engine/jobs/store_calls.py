"""Writes that are rare: history deleted, settings and state kept. Each gives a function for the writing thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from engine.jobs import store_statements as statements
from engine.jobs.schema import JOBS, SETTINGS, STATE
from engine.jobs.store_database import driver_of


def clear_history(owner: str | None) -> Callable[[Connection], object]:
    """Delete every job that has ended, or those of an owner."""
    ended = delete(JOBS).where(JOBS.c.ended.is_not(None))
    which = ended if owner is None else ended.where(JOBS.c.owner == owner)
    return lambda connection: connection.execute(which)


def delete_history(ids: Sequence[str], owner: str | None) -> Callable[[Connection], object]:
    """Delete jobs that have ended; other ids are ignored, and with `owner` those of others."""
    if owner is not None:
        some = func.json_each(msgspec.json.encode([*ids]).decode()).table_valued("value")
        which = delete(JOBS).where(
            JOBS.c.ended.is_not(None), JOBS.c.owner == owner, JOBS.c.id.in_(select(some.c.value))
        )
        return lambda connection: connection.execute(which)
    rows = [(id,) for id in ids]
    return lambda connection: statements.write(driver_of(connection), statements.delete_ended, rows)


def remove_waiting(ids: Sequence[str]) -> Callable[[Connection], object]:
    """Delete some jobs that have not ended."""
    rows = [(id,) for id in dict.fromkeys(ids)]
    return lambda connection: statements.write(driver_of(connection), statements.delete_waiting, rows)


def put_settings(user: str, values: Mapping[str, Any]) -> Callable[[Connection], object]:
    """Set some settings of a user; the others stay."""
    rows = [{"owner": user, "id": id, "value": msgspec.json.encode(value)} for id, value in values.items()]
    put = insert(SETTINGS)
    put = put.on_conflict_do_update(index_elements=["owner", "id"], set_={"value": put.excluded.value})
    return lambda connection: connection.execute(put, rows) if rows else None


def put_state(key: str, value: Any) -> Callable[[Connection], object]:
    """Keep `value` under `key`."""
    put = insert(STATE).values(key=key, value=msgspec.json.encode(value))
    put = put.on_conflict_do_update(index_elements=["key"], set_={"value": put.excluded.value})
    return lambda connection: connection.execute(put)
