"""Which assets there are: names for files of the input, output and temp folders, with the hash of their bytes.

Several assets may name one file. A file that an upload or a job made goes with its last asset; others stay where they are.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.server.small_store import SmallStore

MOST_NOTES: Final = 20_000
"""Jobs whose labels, outputs and used assets are remembered; the history keeps fewer."""

_SCHEMA: Final = """
CREATE TABLE assets (
    id TEXT PRIMARY KEY, hash TEXT, size INTEGER NOT NULL, content_type TEXT NOT NULL, file_path TEXT NOT NULL,
    kind TEXT NOT NULL, subfolder TEXT NOT NULL, name TEXT NOT NULL, mtime_ns INTEGER NOT NULL, ours INTEGER NOT NULL,
    made REAL NOT NULL, owner TEXT, job_id TEXT, node_id TEXT, media TEXT
) WITHOUT ROWID;
CREATE INDEX assets_hash ON assets (hash);
CREATE INDEX assets_file ON assets (kind, subfolder, name);
CREATE INDEX assets_job ON assets (job_id);
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, labels TEXT NOT NULL, complete INTEGER NOT NULL
);
CREATE TABLE uses (job_id TEXT NOT NULL, asset_id TEXT NOT NULL, PRIMARY KEY (job_id, asset_id)) WITHOUT ROWID;
CREATE INDEX uses_asset ON uses (asset_id);
"""


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One asset. The file is `name` in `subfolder` of the folder `kind` (input, output, temp)."""

    id: str
    hash: str | None
    """`blake3:` and 64 hexadecimal digits; None while it is not known."""
    size: int
    content_type: str
    file_path: str
    """The name that the client gave, or that of the file."""
    kind: str
    subfolder: str
    name: str
    mtime_ns: int
    """When the file was last changed: one changed later is another."""
    ours: bool
    """Whether an upload or a job made the file."""
    made: float
    owner: str | None = None
    """Whose it is, as `Job.owner`."""
    job_id: str | None = None
    node_id: str | None = None
    media: str | None = None
    """Of outputs: image, video, audio, text, latent or file."""

    @property
    def entry(self) -> dict[str, str]:
        """What `Paths.produced` takes."""
        return {"filename": self.name, "subfolder": self.subfolder, "type": self.kind}

    @property
    def value(self) -> str:
        """What an input of a node takes for it."""
        path = f"{self.subfolder}/{self.name}" if self.subfolder else self.name
        return path if self.kind == "input" else f"{path} [{self.kind}]"


_FIELDS: Final = Asset.__struct_fields__
_COLUMNS: Final = ", ".join(_FIELDS)
_INSERT: Final = f"({_COLUMNS}) VALUES ({', '.join('?' * len(_FIELDS))})"


class JobNotes(msgspec.Struct, frozen=True):
    """What is kept of a job for this API alone."""

    labels: dict[str, Any]
    """`metadata` and `priority`, as they were given."""
    complete: bool
    """Whether all that the job put out is among the assets."""


_NOTHING: Final = JobNotes({}, False)


class AssetIndex:
    """The assets of a server and its notes of jobs, in a file of their own."""

    def __init__(self, path: Path) -> None:
        self._store = SmallStore(path, _SCHEMA)

    async def close(self) -> None:
        """Close the file."""
        await self._store.close()

    # -- assets

    async def get(self, asset_id: str) -> Asset | None:
        """One asset."""
        found = await self._assets("id = ?", (asset_id,))
        return found[0] if found else None

    async def by_hash(self, hash: str) -> list[Asset]:
        """All assets of these bytes: uploads first, the oldest first."""
        return await self._assets("hash = ? ORDER BY job_id IS NOT NULL, made", (hash,))

    async def of_job(self, job_id: str) -> list[Asset]:
        """The outputs of a job: saved files first, each kind in the order of nodes as they were told."""
        return await self._assets("job_id = ? ORDER BY kind = 'temp', made, id", (job_id,))

    async def of_file(self, asset: Asset) -> list[Asset]:
        """All assets of the same file."""
        return await self._assets("kind = ? AND subfolder = ? AND name = ?", (asset.kind, asset.subfolder, asset.name))

    async def add(self, assets: Iterable[Asset]) -> None:
        """Add assets; those whose id is there stay as they are."""
        rows = [[getattr(asset, name) for name in _FIELDS] for asset in assets]
        await self._store.call(lambda c: c.executemany(f"INSERT OR IGNORE INTO assets {_INSERT}", rows))

    async def replace(self, asset: Asset) -> None:
        """An asset has changed: its hash is known now."""
        row = [getattr(asset, name) for name in _FIELDS]
        await self._store.call(lambda c: c.execute(f"REPLACE INTO assets {_INSERT}", row))

    async def remove(self, asset_id: str) -> None:
        """Forget an asset."""
        await self._store.call(lambda c: c.execute("DELETE FROM assets WHERE id = ?", (asset_id,)))

    # -- jobs

    async def note_job(self, job_id: str, labels: Mapping[str, Any], uses: Sequence[str]) -> None:
        """A job is about to be accepted: keep its labels, and which assets it needs."""
        await self._store.call(partial(_note_job, job_id, msgspec.json.encode(labels).decode(), uses))

    async def forget_job(self, job_id: str) -> None:
        """A job was not accepted after all."""
        await self._store.call(partial(_forget_job, job_id))

    async def notes(self, ids: Iterable[str]) -> dict[str, JobNotes]:
        """What is kept of these jobs; every one of them is there."""
        ids = list(ids)
        marks = ", ".join("?" * len(ids))
        query = f"SELECT id, labels, complete FROM jobs WHERE id IN ({marks})"
        rows = await self._store.call(lambda c: c.execute(query, ids).fetchall()) if ids else []
        found = {id: JobNotes(msgspec.json.decode(labels), bool(complete)) for id, labels, complete in rows}
        return {id: found.get(id, _NOTHING) for id in ids}

    async def complete(self, job_id: str, outputs: Sequence[Asset]) -> None:
        """All that a job put out is known: add it once, and never again, as some of it may be deleted."""
        rows = [[getattr(asset, name) for name in _FIELDS] for asset in outputs]
        await self._store.call(partial(_complete, job_id, rows))

    async def labelled(self, before: int | None, most: int) -> list[tuple[int, str, dict[str, Any]]]:
        """(number, id, labels) of jobs that have some, newest first, below the number `before`."""
        query = "SELECT number, id, labels FROM jobs WHERE number < ? AND labels != '{}' ORDER BY number DESC LIMIT ?"
        limits = (before if before is not None else 2**62, most)
        rows = await self._store.call(lambda c: c.execute(query, limits).fetchall())
        return [(number, id, msgspec.json.decode(labels)) for number, id, labels in rows]

    async def users_of(self, asset_ids: Sequence[str]) -> list[str]:
        """The jobs that were made with one of these assets."""
        marks = ", ".join("?" * len(asset_ids))
        query = f"SELECT DISTINCT job_id FROM uses WHERE asset_id IN ({marks})"
        rows = await self._store.call(lambda c: c.execute(query, list(asset_ids)).fetchall())
        return [job_id for (job_id,) in rows]

    async def _assets(self, where: str, values: Sequence[Any]) -> list[Asset]:
        query = f"SELECT {_COLUMNS} FROM assets WHERE {where}"
        rows = await self._store.call(lambda c: c.execute(query, values).fetchall())
        return [_asset(row) for row in rows]


def new_id() -> str:
    """An id for an uploaded asset."""
    return str(uuid.uuid4())


def output_id(job_id: str, node_id: str, entry: Mapping[str, str]) -> str:
    """The id of an output: the same whoever asks when."""
    place = "\n".join((job_id, node_id, entry["type"], entry["subfolder"], entry["filename"]))
    return str(uuid.uuid5(_OUTPUTS, place))


_OUTPUTS: Final = uuid.UUID("5f0d5c5a-3c8e-5f0a-9a57-6d3e0f6b2c41")


def _asset(row: Sequence[Any]) -> Asset:
    values = dict(zip(_FIELDS, row, strict=True))
    values["ours"] = bool(values["ours"])
    return Asset(**values)


# -- on the store's thread


def _note_job(job_id: str, labels: str, uses: Sequence[str], connection: sqlite3.Connection) -> None:
    number = connection.execute(
        "INSERT OR REPLACE INTO jobs (id, labels, complete) VALUES (?, ?, 0)", (job_id, labels)
    ).lastrowid
    connection.executemany("INSERT OR IGNORE INTO uses VALUES (?, ?)", [(job_id, asset) for asset in uses])
    _prune(number or 0, connection)


def _forget_job(job_id: str, connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
    connection.execute("DELETE FROM uses WHERE job_id = ?", (job_id,))


def _prune(newest: int, connection: sqlite3.Connection) -> None:
    """Forget the oldest jobs, and their outputs as assets; the files stay."""
    old = connection.execute("SELECT id FROM jobs WHERE number <= ?", (newest - MOST_NOTES,)).fetchall()
    for (id,) in old:
        _forget_job(id, connection)
        connection.execute("DELETE FROM assets WHERE job_id = ?", (id,))


def _complete(job_id: str, rows: Sequence[Sequence[Any]], connection: sqlite3.Connection) -> None:
    known = connection.execute("SELECT complete FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if known is not None and known[0]:
        return
    connection.executemany(f"INSERT OR IGNORE INTO assets {_INSERT}", rows)
    if known is None:
        number = connection.execute("INSERT INTO jobs (id, labels, complete) VALUES (?, '{}', 1)", (job_id,)).lastrowid
        _prune(number or 0, connection)
    else:
        connection.execute("UPDATE jobs SET complete = 1 WHERE id = ?", (job_id,))
