"""Saving what clients send: first under a hidden name, then whole under its own."""

from __future__ import annotations

import asyncio
import errno
import filecmp
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO, Final, TypeVar

from engine.server.refusals import Refusal

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_WRONG_NAME: Final = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
_RESERVED: Final = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]')
_ANNOTATION: Final = re.compile(r"\[(input|output|temp)\](?=(\.[^.]*)?$)")
_LONGEST: Final = 200
_MOST_NUMBERS: Final = 10_000


class Incoming:
    """A hidden file that is being written; `place_…` gives it its name. What has no name at the end is removed."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self.size = 0
        self._file = file

    async def write(self, chunk: bytes) -> None:
        """Append `chunk`. Raises Refusal 507 when the disk is full."""
        self.size += len(chunk)
        with explained():
            await asyncio.to_thread(self._append, chunk)

    def _append(self, chunk: bytes) -> None:
        self._file.write(chunk)

    async def close(self) -> None:
        """Have everything on the disk, so that not even a power cut leaves the name without the content."""
        with explained():
            await asyncio.to_thread(self._sync)

    def _sync(self) -> None:
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


Part = TypeVar("Part", bound=Incoming)


def incoming(folder: Path) -> AbstractAsyncContextManager[Incoming]:
    """A new hidden file in `folder`, removed at the end unless it was placed. Raises Refusal 507."""
    return incoming_as(folder, Incoming)


@asynccontextmanager
async def incoming_as(folder: Path, make: Callable[[Path, IO[bytes]], Part]) -> AsyncIterator[Part]:
    """The same as what `make` gives, which may look at all that comes."""
    path = folder / f".{os.urandom(8).hex()}.part"
    with explained():
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        file = await asyncio.to_thread(path.open, "xb")
    try:
        yield make(path, file)
    finally:
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            path.unlink(missing_ok=True)


def is_part(name: str) -> bool:
    """Whether it is the hidden name of a file that is being written."""
    return name.startswith(".") and name.endswith(".part")


def place_new(part: Path, folder: Path, name: str) -> Path:
    """Name the file `name` in `folder`, or `name (1)` … where that is taken; an equal file that is there stands for it."""
    with explained(), near(part, made(folder)) as here:
        stem, suffix = os.path.splitext(name)  # noqa: PTH122
        for number in range(_MOST_NUMBERS):
            target = folder / (f"{stem} ({number}){suffix}" if number else name)
            if target.is_file() and filecmp.cmp(here, target, shallow=False):
                return target
            if take_name(here, target):
                return target
    raise Refusal(409, "name_taken", f"There are {_MOST_NUMBERS} files called {name!r} already. Choose another name.")


def place_over(part: Path, folder: Path, name: str) -> Path:
    """Name the file `name` in `folder`, in place of what is there; a link stays, and what it leads to is replaced."""
    named = folder / name
    with explained():
        target = Path(os.path.realpath(named)) if named.is_symlink() else made(folder) / name
        with near(part, target.parent) as here:
            here.replace(target)
    return named


def take_name(part: Path, target: Path) -> bool:
    """Give `part` the name `target` in one step; False when that is taken."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL))  # no hard links here: reserve the name, then replace
        except FileExistsError:
            return False
        part.replace(target)
    return True


def made(folder: Path) -> Path:
    """`folder`, made when it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def near(part: Path, folder: Path) -> Iterator[Path]:
    """The file on the same disk as `folder`, so that naming it is one step."""
    if part.stat().st_dev == folder.stat().st_dev:
        yield part
        return
    copy = folder / f".{os.urandom(8).hex()}.part"
    try:
        shutil.copyfile(part, copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


@contextmanager
def explained() -> Iterator[None]:
    """Turn an OSError into a Refusal: 507 for a disk that is full or cannot be written, 400 or 409 for the client's name."""
    try:
        yield
    except OSError as error:
        raise refusal_of(error) from error


def refusal_of(error: OSError) -> Refusal:
    """What to answer for `error`."""
    if error.errno in _FULL:
        message = "The disk is full: nothing was saved. Free some space on the server's disk and send it again."
        return Refusal(507, "disk_full", message)
    if error.errno in _WRONG_NAME:
        return Refusal(
            400, "invalid_name", f"The file system does not take this name: {error.strerror}. Choose another."
        )
    if isinstance(error, FileNotFoundError):
        return Refusal(404, "not_found", "The file is not there (any more).")
    if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
        message = "The name is taken by a file where a folder is needed, or by a folder. Choose another."
        return Refusal(409, "name_taken", message)
    message = f"The server cannot write there: {error.strerror}. Look at the rights of its folders."
    return Refusal(507, "cannot_store", message)


def safe_name(name: str) -> str:
    """`name` as one file name that every system takes: no folders, no control characters, at most 200 bytes.

    Raises Refusal 400 when nothing is left.
    """
    name = re.split(r"[/\\]", name)[-1]
    name = _FORBIDDEN.sub("_", name.encode("utf-8", "replace").decode()).lstrip(" .~").rstrip(" .")
    name = _ANNOTATION.sub(r"(\1)", name)
    if _RESERVED.match(name):
        name = f"_{name}"
    if not name.strip("_"):
        raise Refusal(
            400, "invalid_name", "The uploaded file has no name that can be used. Send one, like `picture.png`."
        )
    return _shortened(name)


def _shortened(name: str) -> str:
    if len(name.encode()) <= _LONGEST:
        return name
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    suffix = suffix.encode()[:40].decode(errors="ignore")
    return stem.encode()[: _LONGEST - len(suffix.encode())].decode(errors="ignore").rstrip(" .") + suffix
