"""Why something of a pack failed, in one line that says where in the pack."""

from __future__ import annotations

import traceback
from pathlib import Path


def reason(error: BaseException, path: str | Path) -> str:
    """The error in one line, with the line of the pack's code at which it happened where that is known.

    `path` is the file that was imported; of a package, the files beside and below its `__init__.py` count too.
    """
    return _reason(error, Path(path)).encode("utf-8", "replace").decode()


def _reason(error: BaseException, own: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{_place(Path(error.filename or own), error.lineno, own)}{type(error).__name__}: {error.msg}"
    home = own.parent if own.name == "__init__.py" else own
    for frame in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = Path(frame[0].f_code.co_filename)
        if file == own or file.is_relative_to(home):
            return f"{_place(file, frame[1], own)}{_said(error)}"
    return _said(error)


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # of an exception class of the pack
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}"[:_LONGEST]


def _place(file: Path, line: int | None, own: Path) -> str:
    if line is None:
        return ""
    if file == own:
        return f"line {line}: "
    inside = file.is_relative_to(own.parent)  # else a module of others that it imports cannot be read
    return f"{file.relative_to(own.parent) if inside else file} line {line}: "


_LONGEST = 2000
