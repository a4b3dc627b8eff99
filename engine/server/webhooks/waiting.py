"""Webhooks that are still to be delivered, kept over restarts in a small file of their own."""

from __future__ import annotations

import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from engine.server.small_store import SmallStore

FILE_NAME: Final = "webhooks.db"

_SCHEMA: Final = """
CREATE TABLE hooks (
    job_id TEXT PRIMARY KEY, url TEXT NOT NULL, base TEXT NOT NULL, made REAL NOT NULL, tries INTEGER NOT NULL,
    due REAL, body BLOB
) WITHOUT ROWID;
"""


class Hook(msgspec.Struct, kw_only=True):
    """One webhook. `base` is how the client called the server, for the addresses in the message. Times are Unix seconds."""

    job_id: str
    url: str
    base: str = ""
    made: float = 0.0
    tries: int = 0
    """How often it was tried in vain."""
    due: float | None = None
    """When it is to be tried next; None: the job has not ended."""
    body: bytes | None = None
    """What is sent, once the job has ended."""


class WaitingHooks:
    """The hooks on disk."""

    def __init__(self, path: Path) -> None:
        self._store = SmallStore(path, _SCHEMA)
        self.path = path

    async def load(self) -> list[Hook]:
        """All hooks; none where there never was one. Raises StoreError."""
        return await self._store.call(_all) if self.path.exists() else []

    async def put(self, hook: Hook) -> None:
        """Keep a hook, in place of an earlier state of it. Raises StoreError."""
        await self._store.call(partial(_put, hook))

    async def remove(self, job_id: str) -> None:
        """Forget a hook. Raises StoreError."""
        await self._store.call(partial(_remove, job_id))

    async def close(self) -> None:
        """Write all that was asked for, then close."""
        await self._store.close()


def _all(connection: sqlite3.Connection) -> list[Hook]:
    rows = connection.execute("SELECT job_id, url, base, made, tries, due, body FROM hooks ORDER BY made").fetchall()
    names = ("job_id", "url", "base", "made", "tries", "due", "body")
    return [Hook(**dict(zip(names, row, strict=True))) for row in rows]


def _put(hook: Hook, connection: sqlite3.Connection) -> None:
    made = hook.made or time.time()
    row = (hook.job_id, hook.url, hook.base, made, hook.tries, hook.due, hook.body)
    connection.execute("INSERT OR REPLACE INTO hooks VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _remove(job_id: str, connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM hooks WHERE job_id = ?", (job_id,))
