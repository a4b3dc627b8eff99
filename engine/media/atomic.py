"""Writing files whole or not at all; pictures never over another's."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from engine.media.errors import MediaError

Seal: TypeAlias = Callable[[Path, str], None]
"""Called with a whole file that has no name yet, and the suffix it will have; it may change it (`engine.media.provenance`)."""

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK, errno.EACCES}


def write_numbered(folder: Path, stem: str, suffix: str, data: bytes, least: int = 1, seal: Seal | None = None) -> Path:
    """Write `data` as `stem_00001_` + `suffix` in `folder` with the next free number from `least` on, and return the path.

    The bytes go to a hidden file that then takes its name in one step, so the name only ever stands for the whole file, and
    of several writers each gets a number of its own. Raises MediaError when the disk is full or the folder cannot be written.
    """
    return write_numbered_by(folder, stem, suffix, lambda part: part.write_bytes(data), least, seal)


def write_numbered_by(
    folder: Path,
    stem: str,
    suffix: str,
    write: Callable[[Path], object],
    least: int = 1,
    seal: Seal | None = None,
) -> Path:
    """As `write_numbered`, of what `write` writes to the hidden file that it is given; one that it leaves undone is removed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{os.urandom(8).hex()}.part"
        try:
            write(part)
            if seal is not None:
                seal(part, suffix)
            return _take_name(part, folder, stem, suffix, least)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    except OSError as error:
        raise _explained(error, folder) from error


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a temporary file beside `path`, flush it to disk, and rename it to `path`, over an old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name[:40], suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_over(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, over an old one. Raises MediaError as `write_numbered` does."""
    try:
        write_whole(path, lambda part: _filled(part, data))
    except OSError as error:
        raise _explained(error, path.parent) from error


def _filled(part: Path, data: bytes) -> None:
    part.write_bytes(data)


def next_number(folder: Path, stem: str) -> int:
    """One more than the highest number among the files `stem_NUMBER_…` in `folder`; 1 when there is none.

    `%batch_num%` in the stem, which packs fill in afterwards, stands for any number.
    """
    literal = map(re.escape, stem.split("%batch_num%"))
    pattern = re.compile(r"\d+".join(literal) + r"_(\d+)_")
    numbers = (int(match[1]) for entry in os.scandir(folder) if (match := pattern.match(entry.name)))
    return max(numbers, default=0) + 1


def number_of(path: Path, stem: str) -> int:
    """The number in the name that `write_numbered` gave to a file."""
    return int(path.name[len(stem) + 1 :].partition("_")[0])


def _take_name(part: Path, folder: Path, stem: str, suffix: str, least: int) -> Path:
    number = max(least, next_number(folder, stem))
    while True:
        target = folder / f"{stem}_{number:05}_{suffix}"
        try:
            _rename_new(part, target)
        except FileExistsError:
            number += 1
        else:
            return target


def _rename_new(part: Path, target: Path) -> None:
    """Give `part` the name `target`. Raises FileExistsError when that is taken (a plain rename would replace it)."""
    try:
        target.hardlink_to(part)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL))  # a file system without hard links: reserve, then replace
        part.replace(target)


def _explained(error: OSError, folder: Path) -> MediaError:
    if error.errno in _FULL:
        return MediaError(
            f"The disk is full: a file could not be written to {folder}. Nothing half-written is left. Free some space."
        )
    return MediaError(f"Cannot write to {folder}: {error.strerror or error}. Choose a folder that you may write to.")


def copy_new(source: Path, folder: Path) -> Path:
    """Copy a file into `folder`, whole or not at all, and return its path there.

    It keeps its name; when that is taken by a file with other bytes, the next free number is put behind it. A file with the
    same bytes is taken as the copy. Raises MediaError as `write_numbered` does.
    """
    try:
        return write_new(folder, source.name, source.read_bytes())
    except OSError as error:
        raise _explained(error, folder) from error


def write_new(folder: Path, name: str, data: bytes) -> Path:
    """Write a file `name` into `folder`, whole or not at all, and return its path there: as `copy_new`, of bytes."""
    try:
        target = folder / name
        if target.is_file() and target.read_bytes() == data:
            return target
        if target.exists():
            return write_numbered(folder, target.stem.rstrip("_"), target.suffix, data)
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{os.urandom(8).hex()}.part"
        try:
            part.write_bytes(data)
            _rename_new(part, target)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        return target
    except OSError as error:
        raise _explained(error, folder) from error
