"""The action cache: action key → record."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import msgspec
from xxhash import xxh3_64_digest

from engine.cache.database import Database, Statement
from engine.cache.digests import Digest

SlotDigests: TypeAlias = Digest | tuple[Digest, ...]
"""Digest of one output; a tuple where the output is a list (of any length but one)."""

KEPT_IN_RAM = 200_000
KEPT_ON_DISK = 1_000_000
PRUNE_EVERY = 50_000
"""After so many records written the table is counted again, which takes a tenth of a second once it is full."""


class Reference(msgspec.Struct, array_like=True, frozen=True):
    """Inside an expansion: a link (`node`, `slot`), or stored values (`digests`, one for each list item)."""

    node: str = ""
    slot: int = 0
    digests: tuple[Digest, ...] | None = None


class ExpandedNode(msgspec.Struct, array_like=True, frozen=True):
    """One node of an expansion."""

    class_type: str
    constants: dict[str, Any]
    references: dict[str, Reference]
    display: str | None = None
    """The node to show it on, where the expansion names one."""
    always: bool = False
    """Whether it runs in every run anew."""


class Expansion(msgspec.Struct, array_like=True, frozen=True):
    """The subgraph that one call of a node gave in place of values; node ids are as the node wrote them."""

    nodes: dict[str, ExpandedNode]
    values: tuple[Reference, ...]
    """One per output of the expanding node."""


class Record(msgspec.Struct, array_like=True, frozen=True, omit_defaults=True):
    """What an action gave: outputs (with what editors show), expansions, or the next step of a lazy chain."""

    outputs: tuple[SlotDigests, ...] | None = None
    reads: str | None = None
    """Name of the lazy input that the node read next; the key to look under is extended by its digest."""
    ui: dict[str, Any] | None = None
    expand: tuple[Expansion, ...] | None = None
    """In place of `outputs`: one expansion per call of the node."""
    seconds: float = 0.0
    """How long the action took; what making its values again would cost."""


_CHECKSUM = 8
"""Bytes before each record on disk. SQLite does not notice a changed byte within a row, and what it makes may well decode."""


def _checksum(key: bytes, data: bytes) -> bytes:
    return xxh3_64_digest(key + data)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Record)


class ActionCache:
    """Records by action key: a dict in RAM over a table on disk. Writes are gathered and go out in one transaction."""

    def __init__(self, database: Database | None = None) -> None:
        self._database = database
        self._known: dict[bytes, Record] = {}
        self._unwritten: dict[bytes, Record] = {}
        self._lock = threading.Lock()
        self._until_pruned = 0

    def get(self, key: bytes) -> Record | None:
        """The record of an action, or None when it has never run."""
        found = self._known.get(key)
        if found is None and self._database is not None:
            row = self._database.row("SELECT record FROM actions WHERE key = ?", (key,))
            if row is not None:
                found = self._decode(key, row[0])
        return found

    def put(self, key: bytes, record: Record) -> None:
        """Remember what an action gave; on disk with the next `statements`."""
        with self._lock:
            if self._database is not None:
                self._unwritten[key] = record
            self._remember(key, record)

    def reading(self) -> AbstractContextManager[None]:
        """Makes many `get` inside it cheaper."""
        return self._database.reading() if self._database is not None else nullcontext()

    def statements(self) -> list[Statement]:
        """What has to be written since the last call; the caller writes it."""
        with self._lock:
            rows, self._unwritten = self._unwritten, {}
        encoded = [row for key, record in rows.items() if (row := _row(key, record)) is not None]
        self._until_pruned -= len(encoded)
        return [("INSERT OR REPLACE INTO actions VALUES (?, ?, ?)", encoded)] if encoded else []

    def prune(self) -> list[Statement]:
        """What deletes the oldest quarter of the table once it holds more than `KEPT_ON_DISK` records; looks now and then."""
        if self._until_pruned > 0:
            return []
        self._until_pruned = PRUNE_EVERY
        row = self._database.row("SELECT COUNT(*) FROM actions") if self._database is not None else None
        if row is None or row[0] <= KEPT_ON_DISK:
            return []
        oldest = "SELECT key FROM actions ORDER BY made LIMIT ?"
        return [(f"DELETE FROM actions WHERE key IN ({oldest})", [(KEPT_ON_DISK // 4,)])]

    def clear(self) -> None:
        """Forget everything in RAM."""
        with self._lock:
            self._known.clear()
            self._unwritten.clear()

    def __len__(self) -> int:
        if self._database is None:
            return len(self._known)
        row = self._database.row("SELECT COUNT(*) FROM actions")
        return (row[0] if row else 0) + len(self._unwritten)

    def _decode(self, key: bytes, data: bytes) -> Record | None:
        try:
            if _checksum(key, data[_CHECKSUM:]) != data[:_CHECKSUM]:
                return None
            found = _DECODER.decode(data[_CHECKSUM:])
        except (msgspec.DecodeError, TypeError):  # written by something else or torn: as if it had never run
            return None
        with self._lock:
            self._remember(key, found)
        return found

    def _remember(self, key: bytes, record: Record) -> None:
        """Keep a record in RAM, and let go of the oldest quarter once there are too many. Under the lock."""
        self._known[key] = record
        if len(self._known) > KEPT_IN_RAM:
            for old in list(self._known)[: KEPT_IN_RAM // 4]:
                del self._known[old]


def _row(key: bytes, record: Record) -> tuple[bytes, bytes, int] | None:
    try:
        data = _ENCODER.encode(record)
        return key, _checksum(key, data) + data, int(time.time())
    except (TypeError, ValueError, OverflowError):  # a ui or constant that is no JSON: it lives in RAM only
        return None
