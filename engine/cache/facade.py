"""Cache: the one object that the executor talks to."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from engine.cache.actions import ActionCache
from engine.cache.codecs import Buffer, Codec, Codecs
from engine.cache.copies import Copies
from engine.cache.database import Database
from engine.cache.digests import Digest
from engine.cache.disk import SMALL_BYTES, DiskValues
from engine.cache.files import FileDigests
from engine.cache.memory import Memory, Stored

GIB = 1 << 30
GATHER_SECONDS = 0.5
"""How long results are gathered before they go to disk in one transaction: what a kill -9 can cost at most."""

SOON_SECONDS = 0.05
"""How long after one write to the next at the end of a run: runs of a millisecond share one."""

DEAR_SECONDS = 0.05
"""A result that took longer goes to disk at once, with all that was gathered: it costs less to write than to make again."""

_log = logging.getLogger(__name__)


class CacheInfo(msgspec.Struct, frozen=True):
    """How full a cache is. Bytes on disk count payloads, not the file system's rounding."""

    folder: str | None
    actions: int
    ram_values: int
    ram_bytes: int
    disk_values: int
    disk_bytes: int


class Cache:
    """Action cache, value store and file digests over one folder; with `folder` None in RAM only.

    Values go to disk from a background thread; `flush` waits for it. Any number of processes may share the folder, and
    one that is killed leaves it whole.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        ram_bytes: int = 2 * GIB,
        disk_bytes: int = 8 * GIB,
        codecs: Iterable[Codec] = (),
    ) -> None:
        self.folder = folder
        codecs = tuple(codecs)
        self.copies = Copies(codecs)
        self._warnings: deque[str] = deque(maxlen=100)
        self._database = Database(folder / "cache.sqlite", self._warn) if folder is not None else None
        self._disk: DiskValues | None = None
        if folder is not None and self._database is not None:
            self._disk = DiskValues(folder / "values", self._database, Codecs(codecs), disk_bytes, self._warn)
        self.actions = ActionCache(self._database)
        self.files = FileDigests(self._database)
        self._memory = Memory(ram_bytes)
        self._writer = _Writer(self, ram_bytes) if self._disk is not None else None

    def get(self, name: Digest) -> Stored | None:
        """The value that `name` stands for, from RAM or disk; None when it has to be made (again)."""
        entry = self._memory.get(name)
        if entry is None and self._disk is not None:
            found, value = self._disk.load(name)
            if found:
                entry = Stored(value, cost=0.0)
                self._memory.put(name, entry)
        return entry

    def put(self, name: Digest, value: Any, cost: float) -> Stored:
        """Keep `value`, which took `cost` seconds to make; it is written to disk in the background if it has a codec."""
        entry = Stored(value, cost)
        self._memory.put(name, entry)
        if self._writer is not None:
            self._writer.add(name, entry)
        return entry

    def drop(self, name: Digest, entry: Stored) -> None:
        """Forget `entry`, which was written into; what is on disk under `name` is sound and stays."""
        self._memory.drop(name, entry)

    def trim(self) -> None:
        """Let go of every value in RAM."""
        self._memory.clear()
        self.copies.spare.clear()

    def recorded(self, seconds: float = 0.0) -> None:
        """Tell the background writer that there is a new record, of an action that took `seconds`."""
        if self._writer is not None:
            self._writer.wake()
            if seconds > DEAR_SECONDS:
                self._writer.hurry()

    def write_soon(self) -> None:
        """Have everything so far written in a moment rather than after a while, without waiting for it."""
        if self._writer is not None:
            self._writer.soon()

    def take_warnings(self) -> list[str]:
        """Warnings since the last call (unreadable entries, a full disk), for people to see."""
        found = []
        while self._warnings:
            found.append(self._warnings.popleft())
        return found

    def info(self) -> CacheInfo:
        """How full the cache is."""
        self.flush()
        values, size = self._disk.info() if self._disk is not None else (0, 0)
        folder = str(self.folder) if self.folder is not None else None
        return CacheInfo(folder, len(self.actions), len(self._memory), self._memory.used, values, size)

    def clear(self) -> bool:
        """Forget everything, in RAM and on disk, damaged files that were put aside too; whether all of it is gone."""
        self.flush()
        self.actions.clear()
        self.files.clear()
        self._memory.clear()
        if self._database is None or self._disk is None or self.folder is None:
            return True
        cleared = self._database.clear()
        self._disk.clear()
        for aside in self.folder.glob(f"{self._database.path.name}.broken*"):
            aside.unlink(missing_ok=True)
        return cleared

    def flush(self) -> None:
        """Return when everything so far is on disk."""
        if self._writer is not None:
            self._writer.drain()

    def close(self) -> None:
        """Write what is left and close the files; the cache must not be used afterwards."""
        if self._writer is not None:
            self._writer.stop()
        if self._database is not None:
            self._database.close()

    def _warn(self, message: str) -> None:
        _log.warning(message)
        self._warnings.append(message)


class _Writer:
    """Gathers values and records and writes them: a thread that sleeps while there is nothing to do."""

    def __init__(self, cache: Cache, backlog_bytes: int) -> None:
        assert cache._database is not None
        assert cache._disk is not None
        self._actions = cache.actions
        self._database = cache._database
        self._disk = cache._disk
        self._backlog_bytes = backlog_bytes
        self._values: dict[Digest, Stored] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        self._draining = threading.Lock()
        self._work = threading.Event()
        self._hurried = threading.Event()
        self._wanted_soon = False
        self._drained = 0.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, name: Digest, entry: Stored) -> None:
        """Have a value written. When the disk cannot keep up, values are passed over rather than piled up."""
        with self._lock:
            if self._bytes <= self._backlog_bytes:
                old = self._values.get(name)
                self._values[name] = entry
                self._bytes += entry.size - (old.size if old is not None else 0)
        self.wake()

    def wake(self) -> None:
        if not self._work.is_set():
            self._work.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="cache-writer", daemon=True)
                self._thread.start()

    def hurry(self) -> None:
        self._hurried.set()

    def soon(self) -> None:
        self._wanted_soon = True  # first: `_loop` looks at it when that time is over
        if time.monotonic() - self._drained > SOON_SECONDS:
            self.hurry()

    def stop(self) -> None:
        self._stopped.set()
        self._work.set()
        self._hurried.set()
        if self._thread is not None:
            self._thread.join()
        self.drain()

    def drain(self) -> None:
        """Write everything gathered so far, in one transaction; returns when it (and what was under way) is written."""
        with self._draining:
            self._work.clear()
            with self._lock:
                values, self._values, self._bytes = self._values, {}, 0
            small, big = self._write_values(values)
            statements = [*self._actions.statements(), *self._disk.touched()]
            if small:
                statements.append(("INSERT OR IGNORE INTO small VALUES (?, ?)", small))
            if big:
                statements.append(("INSERT OR REPLACE INTO big VALUES (?, ?, ?)", big))
            if statements:
                self._database.write([*statements, *self._actions.prune()])
            if statements and (big or small):
                self._disk.shrink()

    def _write_values(
        self, values: dict[Digest, Stored]
    ) -> tuple[list[tuple[Digest, bytes]], list[tuple[Digest, int, int]]]:
        small: list[tuple[Digest, bytes]] = []
        big: list[tuple[Digest, int, int]] = []
        for name, entry in values.items():
            if not entry.intact:
                continue
            pieces: list[Buffer] | None = self._disk.encode(name, entry.value)
            if pieces is None:
                continue
            if sum(map(len, pieces)) <= SMALL_BYTES:
                small.append((name, b"".join(pieces)))
            elif size := self._disk.write_file(name, pieces):
                big.append((name, size, int(time.time())))
        return small, big

    def _loop(self) -> None:
        while not self._stopped.is_set():
            self._work.wait()
            if not self._hurried.wait(SOON_SECONDS) and not self._wanted_soon:
                self._hurried.wait(GATHER_SECONDS - SOON_SECONDS)
            self._hurried.clear()
            self._wanted_soon = False
            self.drain()
            self._drained = time.monotonic()
