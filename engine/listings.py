"""Names of the files below a folder, kept until a folder changes: a listing costs one stat per folder instead of a walk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

Scan: TypeAlias = Callable[[str], Iterator[str]]

_SETTLED_NS: Final = 2_000_000_000
"""A folder that changed this shortly before it was read may change again without its time telling (coarse clocks)."""

_GONE: Final = -1


class Listing(NamedTuple):
    """The file names below a folder, and the time of change of every folder that was read for them."""

    names: tuple[str, ...]
    folders: tuple[tuple[str, int], ...]
    settled: bool

    @property
    def current(self) -> bool:
        """Whether no folder has changed since."""
        return self.settled and all(_changed(path) == time for path, time in self.folders)


class Listings:
    """Listings by folder and kind of file. Safe among threads: at worst two of them read the same folder at once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, frozenset[str] | None, str], Listing] = {}
        self._merged: dict[tuple[object, ...], tuple[tuple[Listing, ...], tuple[str, ...]]] = {}

    def names(self, roots: tuple[Path, ...], suffixes: frozenset[str] | None, index: str = "") -> tuple[str, ...]:
        """The names below all `roots`, sorted: files of the `suffixes` (None: any), or folders that hold a file `index`.

        The same tuple is returned as long as nothing has changed.
        """
        key = (roots, suffixes, index)
        found = tuple(self._listing(root, suffixes, index) for root in roots)
        kept = self._merged.get(key)
        if kept is not None and all(a is b for a, b in zip(kept[0], found, strict=True)):
            return kept[1]
        names = {name for listing in found for name in listing.names}
        merged = tuple(sorted(names, key=lambda name: (name.casefold(), name)))
        if kept is not None and kept[1] == merged:
            merged = kept[1]
        self._merged[key] = (found, merged)
        return merged

    def _listing(self, root: Path, suffixes: frozenset[str] | None, index: str) -> Listing:
        key = (root, suffixes, index)
        kept = self._kept.get(key)
        if kept is not None and kept.current:
            return kept
        made = _read_models(root, index) if index else _read(root, suffixes)
        self._kept[key] = made
        return made


def _read(root: Path, suffixes: frozenset[str] | None) -> Listing:
    """Names relative to `root`; folders are entered once each, also through links that stay inside."""
    home = os.path.realpath(root)
    pending, seen, names, folders = [""], {home}, list[str](), list[tuple[str, int]]()
    while pending:
        below = pending.pop()
        folder = os.path.join(home, below)  # noqa: PTH118 - a hot loop
        folders.append((folder, _changed(folder)))
        for entry in _entries(folder):
            name = f"{below}{entry.name}"
            if entry.is_symlink() and not _inside(os.path.realpath(entry.path), home):
                continue
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real not in seen and not entry.name.startswith("."):
                    seen.add(real)
                    pending.append(f"{name}/")
            elif _counts(entry.name, suffixes) and entry.is_file():
                names.append(name)
    return _listing_of(names, folders)


def _read_models(root: Path, index: str) -> Listing:
    """Names of the folders in `root` that hold a file `index`."""
    names, folders = [], [(str(root), _changed(str(root)))]
    for entry in _entries(str(root)):
        if entry.is_dir():
            folders.append((entry.path, _changed(entry.path)))
            if os.path.isfile(os.path.join(entry.path, index)):  # noqa: PTH113, PTH118
                names.append(entry.name)
    return _listing_of(names, folders)


def _listing_of(names: list[str], folders: list[tuple[str, int]]) -> Listing:
    newest = max(changed for _, changed in folders)
    return Listing(tuple(names), tuple(folders), settled=time.time_ns() - newest > _SETTLED_NS)


def _counts(name: str, suffixes: frozenset[str] | None) -> bool:
    if suffixes is None:
        return not name.startswith(".")
    return os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116
    except OSError:
        return _GONE


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _inside(path: str, home: str) -> bool:
    return path == home or path.startswith(home.rstrip(os.sep) + os.sep)
