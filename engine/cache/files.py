"""Digests of files, remembered by path, size and modification time."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

from xxhash import xxh3_128

from engine.cache.database import Database
from engine.cache.digests import Digest
from engine.listings import files_below

READ_BYTES = 8 << 20
SETTLED_NS = 2_000_000_000
"""A file changed less than this before it was read may change again within the clock's grain: it is not remembered."""


class FileDigests:
    """Content digests of files. A file is read once; after that its path, size and modification time stand for it."""

    def __init__(self, database: Database | None = None) -> None:
        self._database = database
        self._known: dict[str, tuple[int, int, Digest]] = {}
        self._lock = threading.Lock()

    def digest(self, path: str | os.PathLike[str]) -> Digest:
        """Digest of the bytes of the file at `path`, or of all files below the folder. Raises OSError for unreadable ones."""
        name = os.path.realpath(path)  # a link may lead to another file of the same size and time tomorrow
        facts = os.stat(name)  # noqa: PTH116
        if stat.S_ISDIR(facts.st_mode):
            return self._of_folder(Path(name))
        known = self._known.get(name) or self._stored(name)
        if known is not None and known[:2] == (facts.st_size, facts.st_mtime_ns):
            return known[2]
        found = _read(Path(name))
        if time.time_ns() - facts.st_mtime_ns > SETTLED_NS:
            self._remember(name, (facts.st_size, facts.st_mtime_ns, found))
        return found

    def hex(self, path: str | os.PathLike[str]) -> str:
        """The same as hexadecimal text."""
        return self.digest(path).hex()

    def clear(self) -> None:
        """Forget everything that is remembered in memory."""
        with self._lock:
            self._known.clear()

    def _of_folder(self, folder: Path) -> Digest:
        """Names and contents of the files below `folder`, such as a model kept as a diffusers folder."""
        state = xxh3_128()
        for name in files_below(folder):
            state.update(name.encode() + b"\0" + self.digest(folder / name))
        return state.digest()

    def _stored(self, name: str) -> tuple[int, int, Digest] | None:
        row = (
            self._database.row("SELECT size, mtime, digest FROM files WHERE path = ?", (name,))
            if self._database
            else None
        )
        if row is None:
            return None
        with self._lock:
            known = self._known[name] = (row[0], row[1], row[2])
        return known

    def _remember(self, name: str, known: tuple[int, int, Digest]) -> None:
        with self._lock:
            self._known[name] = known
        if self._database is not None:
            self._database.write([("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", [(name, *known)])])


def _read(path: Path) -> Digest:
    state = xxh3_128()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(READ_BYTES):
            state.update(chunk)
    return state.digest()
