"""What can be written to the store: what the event loop hands to the writing thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from engine.jobs.store_rows import Row, Texts

if TYPE_CHECKING:
    from sqlalchemy import Connection

Waiter: TypeAlias = "asyncio.Future[None]"


class Accept(msgspec.Struct, eq=False):
    """Insert jobs: all or none."""

    rows: list[Row]
    texts: list[Texts]
    """Those of the long ones among them."""
    waiter: Waiter

    @property
    def ids(self) -> list[str]:
        """Ids of the jobs."""
        return [row[1] for row in self.rows]


class Change(msgspec.Struct, eq=False):
    """Update unfinished jobs: id → row. Nobody waits for it."""

    rows: dict[str, Row]


class End(msgspec.Struct, eq=False):
    """End a job."""

    row: Row
    waiter: Waiter
    long: bool = False
    """Its texts stand apart."""


class Call(msgspec.Struct, eq=False):
    """Any other write."""

    run: Callable[[Connection], object]
    waiter: Waiter
    deletes: bool = False


class Stop(msgspec.Struct, eq=False):
    """Write what waits, then close."""


Write: TypeAlias = Accept | Change | End | Call
