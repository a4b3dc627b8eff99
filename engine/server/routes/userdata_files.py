"""The files that an editor keeps for its user: listing, naming, replacing. Everything here blocks: call it in threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.listings import walk
from engine.paths import contained
from engine.server.refusals import Refusal
from engine.server.saving import explained, is_part, made, near, place_over, take_name


class FileFacts(msgspec.Struct):
    """A file, as lists with `full_info` tell it. Times in milliseconds since 1970."""

    path: str
    size: int
    modified: int
    created: int


class Entry(msgspec.Struct, omit_defaults=True):
    """A file or folder of a tree listing. `path` begins in the user's folder; `modified` in milliseconds since 1970."""

    name: str
    path: str
    type: str
    size: int | None = None
    modified: int | None = None


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
        if found == self.root or is_part(found.name):
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

    def first_there(self, moves: list[tuple[str, str]]) -> tuple[str, str] | None:
        """The first of several readings of a move whose source is a file."""
        for source, target in moves:
            try:
                self.existing(source)
            except Refusal:
                continue
            return source, target
        return None

    def folder(self, name: str) -> Path:
        """The folder `name`, "" for the user's own. Raises Refusal 404 when there is none."""
        path = self.root if _is_root(name) else self.path(name.rstrip("/"))
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
        name = path.relative_to(below or self.root).as_posix()
        return FileFacts(name, found.st_size, int(found.st_mtime * 1000), int(found.st_ctime * 1000))

    def list_files(self, name: str, *, recurse: bool, split: bool, full: bool) -> list[Any]:
        """The files of a folder, by name: relative paths, or lists of a path and its parts, or FileFacts."""
        folder = self.folder(name)
        paths = sorted(_files_below(folder, recurse))
        if full:
            return list(self._facts_of(paths, folder))
        names = [path.relative_to(folder).as_posix() for path in paths]
        return [[one, *one.split("/")] for one in names] if split else names

    def list_entries(self, name: str) -> list[Entry]:
        """The files and folders in a folder and below: folders first, by name. None of the user's own while it is not there."""
        if _is_root(name) and not self.root.exists():
            return []
        folder = self.folder(name)
        found = []
        for step in walk(folder, hidden=True):
            below = Path(step.path).relative_to(self.root)
            found += [Entry(one.name, (below / one.name).as_posix(), "directory") for one in step.folders]
            paths = [Path(one.path) for one in step.files if not is_part(one.name)]
            facts = self._facts_of(paths, self.root)
            found += [Entry(one.path.rpartition("/")[2], one.path, "file", one.size, one.modified) for one in facts]
        return sorted(found, key=lambda entry: (entry.type != "directory", entry.name.lower(), entry.path))

    def _facts_of(self, paths: list[Path], below: Path) -> Iterator[FileFacts]:
        for path in paths:
            try:
                yield self.facts(path, below)
            except Refusal:  # deleted since it was listed
                continue

    def place(self, part: Path, target: Path, *, overwrite: bool) -> None:
        """Give `part`, which is on the same disk, the name `target`. Raises Refusal 409 when that is taken."""
        if overwrite:
            place_over(part, target.parent, target.name)
            return
        with explained(), near(part, made(target.parent)) as here:
            if not take_name(here, target):
                raise taken(target.name)

    def move(self, source: str, target: str, *, overwrite: bool) -> Path:
        """Rename a file, or the link to one. Raises Refusal 404 when it is not there, 409 when the new name is taken."""
        old, new = self.existing(source), self.path(target)
        if _is_same_file(old, new):  # writing over it and removing the old name would leave nothing
            if old.parent == new.parent and old.name.lower() == new.name.lower():
                old.rename(new)
            return new
        if old.is_symlink():
            _move_link(old, new, overwrite)
        else:
            self.place(old, new, overwrite=overwrite)
        old.unlink(missing_ok=True)
        return new

    def delete(self, name: str) -> None:
        """Remove a file; of a link, only itself."""
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


def _is_root(name: str) -> bool:
    return name.strip("/") in ("", ".")


def _files_below(folder: Path, recurse: bool) -> Iterator[Path]:
    for step in walk(folder, hidden=True):
        yield from (path for entry in step.files if not is_part(entry.name) and (path := Path(entry.path)).is_file())
        if not recurse:
            break


def _is_same_file(old: Path, new: Path) -> bool:
    """Whether the two names lead to one file, be it through links or because letters of both cases are the same here."""
    try:
        return old == new or old.samefile(new)
    except OSError:
        return False


def _move_link(old: Path, new: Path, overwrite: bool) -> None:
    """Make `new` a link to what `old` leads to."""
    target = old.parent.resolve() / old.readlink()
    with explained():
        new.parent.mkdir(parents=True, exist_ok=True)
        if overwrite:
            hidden = new.parent / f".{os.urandom(8).hex()}.part"
            hidden.symlink_to(target)
            hidden.replace(new)
            return
        try:
            new.symlink_to(target)
        except FileExistsError:
            raise taken(new.name) from None
