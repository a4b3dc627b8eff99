"""The disk part of the value store: small values as rows, big ones as files, within a byte budget."""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from engine.cache.codecs import Buffer, CodecError, Codecs
from engine.cache.database import Database, Statement
from engine.cache.digests import Digest, digest
from engine.cache.stamps import IMMUTABLE

SMALL_BYTES = 8192
"""Payloads up to this size are rows of the database; a file for each would cost more than it holds."""

ABANDONED_SECONDS = 3600
"""Age at which a half-written file is surely nobody's any more."""


class DiskValues:
    """Digest → value in `folder`, for any number of processes at once.

    Files are written beside their place and renamed into it, so that a reader sees a whole one or none; a checksum inside
    catches what a power cut or a bad disk leaves. A full disk gives one warning and turns writing off.
    """

    def __init__(
        self, folder: Path, database: Database, codecs: Codecs, budget: int, warn: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._database = database
        self._codecs = codecs
        self._budget = budget
        self._warn = warn
        self._writing = True
        self._touched: set[Digest] = set()
        self._lock = threading.Lock()
        database.on_renewed = self._index
        self._sweep()
        if not database.row("SELECT 1 FROM big LIMIT 1"):
            self._index()

    def load(self, name: Digest) -> tuple[bool, Any]:
        """(True, value), or (False, None) when it is not there or unreadable (then dropped, with a warning)."""
        row = self._database.row("SELECT payload FROM small WHERE digest = ?", (name,))
        data: Buffer | mmap.mmap | None = row[0] if row is not None else self._map(name)
        if data is None:
            return False, None
        try:
            return True, self._codecs.decode(memoryview(data))
        except CodecError as error:
            self._warn(
                f"A stored value in {self._folder} is unreadable ({error}); it is dropped and will be made again."
            )
            self._drop([name])
            return False, None

    def encode(self, name: Digest, value: Any) -> list[Buffer] | None:
        """The payload to write for `value`, or None: no codec, already there, or no longer what `name` stands for."""
        if not self._writing or (type(value) not in IMMUTABLE and self._path(name).exists()):
            return None
        try:
            pieces = self._codecs.encode(value)
        except CodecError:
            return None
        if type(value) not in IMMUTABLE and digest(value) not in (None, name):
            return None
        return pieces

    def write_file(self, name: Digest, pieces: list[Buffer]) -> int:
        """Write a big payload; returns its size in bytes, 0 when that failed."""
        path = self._path(name)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.writelines(pieces)
                size = file.tell()
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            self._stop_writing(error)
            return 0
        return size

    def touched(self) -> list[Statement]:
        """What notes that values were read since the last call, so that others are evicted first."""
        with self._lock:
            names, self._touched = self._touched, set()
        now = int(time.time())
        return [("UPDATE big SET used = ? WHERE digest = ?", [(now, name) for name in names])] if names else []

    def shrink(self) -> None:
        """Bring files and small values back under the budget, least recently used first."""
        row = self._database.row("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM big")
        excess = (row[1] if row else 0) - self._budget
        doomed = []
        for name, size in self._database.rows("SELECT digest, size FROM big ORDER BY used") if excess > 0 else ():
            if excess <= 0:
                break
            doomed.append(name)
            excess -= size
        self._drop(doomed)
        self._shrink_small()

    def info(self) -> tuple[int, int]:
        """How many values are on disk, and their bytes."""
        big = self._database.row("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM big") or (0, 0)
        small = self._database.row("SELECT COUNT(*), COALESCE(SUM(LENGTH(payload)), 0) FROM small") or (0, 0)
        return big[0] + small[0], big[1] + small[1]

    def clear(self) -> None:
        """Delete every value file; the rows are the database's to clear."""
        for path in self._files():
            _unlink(path)

    def _path(self, name: Digest) -> Path:
        text = name.hex()
        return self._folder / text[:2] / text[2:]

    def _files(self) -> Iterable[Path]:
        return list(self._folder.glob("??/*")) if self._folder.is_dir() else []

    def _map(self, name: Digest) -> mmap.mmap | None:
        try:
            with self._path(name).open("rb") as file:
                found = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            self._warn(
                f"Stored value {self._path(name)} is unreadable ({error}); it is dropped and will be made again."
            )
            self._drop([name])
            return None
        with self._lock:
            self._touched.add(name)
        return found

    def _drop(self, names: list[Digest]) -> None:
        if not names:
            return
        for name in names:
            _unlink(self._path(name))
        rows = [(name,) for name in names]
        self._database.write([("DELETE FROM big WHERE digest = ?", rows), ("DELETE FROM small WHERE digest = ?", rows)])

    def _shrink_small(self) -> None:
        facts = [self._database.row(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")]
        pages, free, size = (row[0] if row else 0 for row in facts)
        if (pages - free) * size <= self._budget // 4:
            return
        quarter = (
            "SELECT digest FROM small LIMIT (SELECT COUNT(*) / 4 + 1 FROM small)"  # digests are random, so this is fair
        )
        self._database.write([(f"DELETE FROM small WHERE digest IN ({quarter})", [()])])

    def _stop_writing(self, error: OSError) -> None:
        if self._writing:
            self._warn(
                f"Cannot write values to {self._folder}: {error}. This session keeps further results in RAM only. "
                f"Free some space, or give a smaller disk budget."
            )
        self._writing = False

    def _index(self) -> None:
        """Note the value files that are there, where the database is a new one: else none of them would ever be evicted."""
        found = []
        for path in self._files():
            try:
                found.append(
                    (bytes.fromhex(path.parent.name + path.name), path.stat().st_size, int(path.stat().st_mtime))
                )
            except (OSError, ValueError):  # just removed, or half-written
                continue
        if found:
            self._database.write([("INSERT OR IGNORE INTO big VALUES (?, ?, ?)", found)])

    def _sweep(self) -> None:
        """Remove what processes that were killed left half-written."""
        limit = time.time() - ABANDONED_SECONDS
        for path in self._folder.glob("??/*.part") if self._folder.is_dir() else ():
            try:
                if path.stat().st_mtime < limit:
                    path.unlink()
            except OSError:
                continue


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # on some systems a mapped file cannot be deleted; a later sweep by budget meets it again
        return
