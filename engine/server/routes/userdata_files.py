"""The files that an editor keeps for its user: listing, naming, replacing. Everything here blocks: call it in threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.paths import contained
from engine.server.refusals import Refusal
from engine.server.saving import explained, is_part, take_name

_DEEPEST = 32


class FileFacts(msgspec.Struct):
    """A file, as lists with `full_info` tell it. Times in milliseconds since 1970."""

    path: str
    size: int
    modified: int
    created: int


class Entry(msgspec.Struct, omit_defaults=True):
    """A file or folder of a tree listing."""

    name: str
    path: str
    type: str
    size: int | None = None
    modified: int | None = None
    created: int | None = None


class UserFiles:
    """One user's folder. Raises Refusal 400 for names that lead out of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Where the file `name` is or would be."""
        try:
            found = contained(self.root, name)
        except (ValueError, OSError) as error:
            raise invalid_name(name) from error
        if found == self.root.resolve() or is_part(found.name):
            raise invalid_name(name)
        return found

    def existing(self, name: str) -> Path:
        """The file `name`. Raises Refusal 404 when there is none."""
        path = self.path(name)
        try:
            if path.is_file():
                return path
        except OSError:
            pass
        raise Refusal(404, "not_found", f"There is no file {name[:200]!r} in the user's folder.")

    def folder(self, name: str) -> Path:
        """The folder `name`, "" for the user's own. Raises Refusal 404 when there is none."""
        path = self.root.resolve() if name.strip("/") in ("", ".") else self.path(name.rstrip("/"))
        try:
            if path.is_dir():
                return path
        except OSError:  # a name that the file system cannot have
            pass
        raise Refusal(404, "not_found", f"There is no folder {name[:200]!r} in the user's folder.")

    def facts(self, path: Path, below: Path | None = None) -> FileFacts:
        """What is told of the file at `path`, with its name relative to `below` or to the user's folder."""
        with explained():
            found = path.stat()
        name = path.relative_to(below or self.root.resolve()).as_posix()
        return FileFacts(name, found.st_size, int(found.st_mtime * 1000), int(found.st_ctime * 1000))

    def list_files(self, name: str, *, recurse: bool, split: bool, full: bool) -> list[Any]:
        """The files of a folder, by name: relative paths, or lists of a path and its parts, or FileFacts."""
        folder = self.folder(name)
        paths = sorted(_files_below(folder, self.root.resolve(), _DEEPEST if recurse else 0))
        if full:
            return list(self._facts_of(paths, folder))
        names = [path.relative_to(folder).as_posix() for path in paths]
        return [[one, *one.split("/")] for one in names] if split else names

    def list_entries(self, name: str) -> list[Entry]:
        """The files and folders in a folder, by name."""
        folder, root = self.folder(name), self.root.resolve()
        found = []
        for path in sorted(folder.iterdir()):
            if is_part(path.name) or not path.resolve().is_relative_to(root):
                continue
            below = path.relative_to(root).as_posix()
            if path.is_dir():
                found.append(Entry(path.name, below, "directory"))
            else:
                found += [Entry(path.name, below, "file", *_numbers(one)) for one in self._facts_of([path], root)]
        return found

    def _facts_of(self, paths: list[Path], below: Path) -> Iterator[FileFacts]:
        for path in paths:
            try:
                yield self.facts(path, below)
            except Refusal:  # deleted since it was listed
                continue

    def place(self, part: Path, target: Path, *, overwrite: bool) -> None:
        """Give `part`, which is on the same disk, the name `target`. Raises Refusal 409 when that is taken."""
        with explained():
            target.parent.mkdir(parents=True, exist_ok=True)
            if overwrite:
                part.replace(target)
            elif not take_name(part, target):
                raise taken(target.name)

    def move(self, source: str, target: str, *, overwrite: bool) -> Path:
        """Rename a file. Raises Refusal 404 when it is not there, 409 when the new name is taken."""
        old, new = self.existing(source), self.path(target)
        if old == new:
            return new
        self.place(old, new, overwrite=overwrite)
        if not overwrite:
            old.unlink(missing_ok=True)
        return new

    def delete(self, name: str) -> None:
        """Remove a file."""
        path = self.existing(name)
        with explained():
            path.unlink()


def invalid_name(name: str) -> Refusal:
    """The refusal of a name that is none for a file of the user's folder."""
    message = f"The name {name[:200]!r} does not name a file in the user's folder. Give a relative name without '..'."
    return Refusal(400, "invalid_name", message)


def taken(name: str) -> Refusal:
    """The refusal to write over a file."""
    return Refusal(409, "file_exists", f"There is a file {name[:200]!r} already. Send overwrite=true to replace it.")


def _numbers(facts: FileFacts) -> tuple[int, int, int]:
    return facts.size, facts.modified, facts.created


def _files_below(folder: Path, root: Path, deeper: int) -> Iterator[Path]:
    """The files in `folder` and, so many levels, below it; links that lead out of `root` are left out."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        path = Path(entry.path)
        if is_part(entry.name) or (entry.is_symlink() and not path.resolve().is_relative_to(root)):
            continue
        if entry.is_file():
            yield path
        elif deeper and entry.is_dir(follow_symlinks=False):
            yield from _files_below(path, root, deeper - 1)
