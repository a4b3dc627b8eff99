"""Names of the files below a folder, kept until a folder changes: a listing costs one stat per folder instead of a walk."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

Scan: TypeAlias = Callable[[str], Iterator[str]]

_SETTLED_NS: Final = 2_000_000_000
"""A folder that changed this shortly before it was read may change again without its time telling (coarse clocks)."""

_GONE: Final = -1

_DEEPEST: Final = 3
"""So many folders down folders that are entries themselves are looked for: links among them may make endless ones."""

_MOST_NAMES: Final = 8
"""A folder is entered under so many names at most: a few that link to each other would make endless ones."""


class Listing(NamedTuple):
    """The file names below a folder, and the time of change of every folder that was read for them, and of linked files."""

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


def files_below(root: Path) -> tuple[str, ...]:
    """The names of all files below `root`, but hidden ones, sorted by their bytes; links are followed."""
    return tuple(sorted(_read(root, None).names))


class Step(NamedTuple):
    """One folder of a walk. `below` is its name relative to where the walk began, with `/` at its end, or empty."""

    below: str
    path: str
    files: list[os.DirEntry[str]]
    """What is no folder: files, and links that lead nowhere."""
    folders: list[os.DirEntry[str]]
    """The folders that are entered next."""


def walk(root: Path | str, *, hidden: bool = False) -> Iterator[Step]:
    """`root` and every folder below it, also through links; none is entered again within itself. `hidden`: also `.name`.

    Taking entries out of `folders` keeps the walk out of them.
    """
    pending: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(root),))]
    entered = Counter[str]()
    while pending:
        below, above = pending.pop()
        step = Step(below, os.path.join(root, below), [], [])  # noqa: PTH118 - a hot loop
        reals = {}
        for entry in _entries(step.path):
            if not _is(entry.is_dir):
                step.files.append(entry)
            elif hidden or not entry.name.startswith("."):
                is_link = entry.is_symlink()
                real = os.path.realpath(entry.path) if is_link else os.path.join(above[-1], entry.name)  # noqa: PTH118
                if real not in above and entered[real] < _MOST_NAMES:
                    entered[real] += 1
                    reals[entry.name] = real
                    step.folders.append(entry)
        yield step
        pending += [(f"{below}{entry.name}/", (*above, reals[entry.name])) for entry in step.folders]


def _read(root: Path, suffixes: frozenset[str] | None) -> Listing:
    """Names relative to `root`, also of what links lead to."""
    names, folders = list[str](), list[tuple[str, int]]()
    for step in walk(root):
        folders.append((step.path, _changed(step.path)))
        for entry in step.files:
            if _counts(entry.name, suffixes):
                if entry.is_symlink():  # what it leads to comes and goes without a change of this folder
                    folders.append((entry.path, _changed(entry.path)))
                if _is(entry.is_file):
                    names.append(f"{step.below}{entry.name}")
    return _listing_of(names, folders)


def _read_models(root: Path, index: str) -> Listing:
    """Names of the folders below `root` that hold a file `index`; what lies in one of these is not looked at, nor hidden ones."""
    names: list[str] = []
    folders = [(str(root), _changed(str(root)))]
    waiting = [("", str(root), 0)]
    while waiting:
        below, folder, depth = waiting.pop()
        for entry in _entries(folder):
            if entry.name.startswith(".") or not _is(entry.is_dir):
                continue
            folders.append((entry.path, _changed(entry.path)))
            if os.path.isfile(os.path.join(entry.path, index)):  # noqa: PTH113, PTH118
                names.append(f"{below}{entry.name}")
            elif depth < _DEEPEST:
                waiting.append((f"{below}{entry.name}/", entry.path, depth + 1))
    return _listing_of(names, folders)


def _listing_of(names: list[str], folders: list[tuple[str, int]]) -> Listing:
    newest = max(changed for _, changed in folders)
    return Listing(tuple(names), tuple(folders), settled=time.time_ns() - newest > _SETTLED_NS)


def _is(question: Callable[[], bool]) -> bool:
    """The answer; False of a link that leads to itself, or where we may not look."""
    try:
        return question()
    except OSError:
        return False


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
