"""Files given for media parameters: looked at before anything runs, and copied into the input folder by content."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from engine.graph.problems import Problem, one_of, problem
from engine.graph.signature import Kind
from engine.media.errors import MediaError
from engine.media.given import FOLDER, content_name, keep, suffix_of
from engine.paths import PICTURES, Paths

MAX_BYTES: Final = 2 * 1024**3


class Found(NamedTuple):
    """A file that was given: its bytes and a name for them by content."""

    data: bytes
    name: str


class UnusableFileError(Exception):
    """A file that cannot be given for a parameter."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def find_file(name: str, kind: Kind, text: str, known: Callable[[str], bool] = lambda name: False) -> Found:
    """The file at the path `text`, or standard input for `-`, for the parameter `name`. Raises UnusableFileError.

    A picture is decoded to see whether it can be, unless `known(name)` says that one of that content was looked at before.
    """
    try:
        data = _bounded(sys.stdin.buffer.read(MAX_BYTES + 1) if text == "-" else _read(Path(text).expanduser()))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnusableFileError(
            _problem(name, text, f"cannot be read: {why}", "Give a file that can be read.")
        ) from error
    if not data:
        raise UnusableFileError(_problem(name, text, "is empty", "Give the file itself."))
    suffix = suffix_of(data) or Path(text).suffix
    found = Found(data, content_name(data, suffix))
    if kind in ("image", "mask") and not known(found.name):
        _check_picture(name, text, data)
    elif not suffix:
        raise UnusableFileError(_problem(name, text, "is of no known kind", "Give a file with its suffix."))
    return found


def place(name: str, kind: Kind, text: str, paths: Paths, listed: Sequence[str]) -> str:
    """The name in the input folder of the file that `text` means: a path, `-`, or a name of `listed` already.

    Raises UnusableFileError for one that is not there or cannot be used.
    """
    path = Path(text).expanduser()
    if text != "-" and not _is_file(path):
        there = paths.locate("input", text)
        if there is not None:
            find_file(name, kind, str(there))
            return text
        raise UnusableFileError(_missing(name, text, paths, listed))
    inside = _inside(path, paths) if text != "-" else None
    if inside is not None and inside in listed:
        find_file(name, kind, text)
        return inside
    folder = paths.directory("input") / FOLDER
    found = find_file(name, kind, text, lambda content: (folder / content).is_file())
    keep(folder, found.data, found.name)
    return f"{FOLDER}/{found.name}"


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES // 1024**3} GiB")
    return data


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _inside(path: Path, paths: Paths) -> str | None:
    """The name in the input folder of a path that leads there."""
    try:
        return path.absolute().resolve().relative_to(paths.input.resolve()).as_posix()
    except (ValueError, OSError):
        return None


def _check_picture(name: str, text: str, data: bytes) -> None:
    """Raises UnusableFileError for a picture that cannot be decoded, or is of a kind that nodes do not take."""
    from engine.media.load import check_picture

    try:
        format = check_picture(data, _called(text))
    except MediaError as error:
        raise UnusableFileError(_problem(name, text, "cannot be used", str(error))) from error
    if suffix_of(data) not in PICTURES:
        raise UnusableFileError(_problem(name, text, f"is a {format} file", "Give a PNG, JPEG or WebP file."))


def _called(text: str) -> str:
    return "standard input" if text == "-" else text


def _problem(name: str, text: str, what: str, hint: str) -> Problem:
    message = f"{name}: {_called(text)} {what}"
    return problem(
        "invalid_input_type", message=message, input_name=name, expected="a readable file", received=text, hint=hint
    )


def _missing(name: str, text: str, paths: Paths, listed: Sequence[str]) -> Problem:
    import difflib

    beside = Path(text).expanduser().parent
    try:
        names = [str(beside / one.name) if "/" in text else one.name for one in beside.iterdir() if one.is_file()]
    except (OSError, ValueError):
        names = []
    near = difflib.get_close_matches(text, [*names, *listed], n=3, cutoff=0.5)
    hint = f"Did you mean {one_of(near)}?" if near else "Give the path of a file, or - for standard input."
    message = f"{name}: there is no file {text}, nor one of that name in {paths.input}"
    return problem("value_not_in_list", message=message, input_name=name, received=text, hint=hint)
