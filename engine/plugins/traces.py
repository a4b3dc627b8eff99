"""What importing a pack does to the process beside declaring nodes: it is told, and what others would suffer from is undone."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from engine.loaded import loaded
from engine.plugins.imported import Imported
from engine.plugins.owners import pack_of
from engine.plugins.packs import ModuleFile
from engine.plugins.replaced import Replaced

MOST_NAMED: Final = 5

_forks: Final[list[int]] = []
"""The process id of each time that this process forked."""


class Traces:
    """How things are before the pack `file` is imported; made in the process that imports it."""

    def __init__(self, file: ModuleFile) -> None:
        _count_forks()
        self._file = file
        self._process = os.getpid()
        self._forks = len(_forks)
        self._folder = _folder()
        self._threads = set(threading.enumerate())
        self._replaced = Replaced()
        self._type = _default_type()
        self._imported = Imported()

    def undo(self) -> list[str]:
        """Put back what is not the pack's, and say what it did. A child that the pack forked and let go on ends here."""
        if os.getpid() != self._process:
            os._exit(0)
        return [
            *self._modules(),
            *self._functions(),
            *self._working_folder(),
            *self._default_type(),
            *self._forked(),
            *self._left_threads(),
        ]

    def _modules(self) -> Iterator[str]:
        found = self._imported.put_back()
        if found:
            yield f"its import took modules out of sys.modules that are not its own ({_listed(found)}); they are back."

    def _functions(self) -> Iterator[str]:
        found = self._replaced.put_back()
        if found:
            yield (
                f"its import replaced {_listed(sorted(found))}, which all nodes use; what was there is back. "
                "Call a function of your own instead."
            )

    def _working_folder(self) -> Iterator[str]:
        now = _folder()
        if now != self._folder and self._folder is not None:
            with suppress(OSError):
                os.chdir(self._folder)
            yield f"its import changed the working folder to {now}; it is {self._folder} again."

    def _default_type(self) -> Iterator[str]:
        now = _default_type()
        if self._type is not None and now != self._type:
            sys.modules["torch"].set_default_dtype(self._type)
            yield f"its import made {now} the default type of torch; it is {self._type} again."

    def _forked(self) -> Iterator[str]:
        forks = len(_forks) - self._forks
        if forks:
            yield f"its import forked the process {forks} time{'s' * (forks > 1)}."

    def _left_threads(self) -> Iterator[str]:
        left = [one for one in threading.enumerate() if one not in self._threads and one.is_alive()]
        own = [one.name for one in left if _is_of_pack(one)]
        if own:
            yield f"its import left {len(own)} thread{'s' * (len(own) > 1)} running: {_listed(own)}."


class in_place:  # noqa: N801 - reads as `with in_place():`; a class costs half of what a generator does
    """What a node does meanwhile to the working folder is undone; a child that it forks and lets return ends here.

    Such a child would go on as a second worker, on the connection of the first.
    """

    __slots__ = ("_folder", "_process")

    def __enter__(self) -> None:
        self._process = os.getpid()
        self._folder = _folder()

    def __exit__(self, *error: object) -> None:
        if os.getpid() != self._process:
            os._exit(0)
        if self._folder is not None and _folder() != self._folder:
            with suppress(OSError):
                os.chdir(self._folder)


def _count_forks() -> None:
    """Have forks counted from now on."""
    if not _forks:
        _forks.append(0)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_parent=lambda: _forks.append(os.getpid()))


def _is_of_pack(thread: threading.Thread) -> bool:
    """Whether a thread runs code of a pack."""
    target = getattr(thread, "_target", None) or type(thread).run
    code = getattr(getattr(target, "__func__", target), "__code__", None)
    if code is not None and pack_of(code.co_filename) is not None:
        return True
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if pack_of(frame.f_code.co_filename) is not None:
            return True
        frame = frame.f_back
    return False


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # it has been removed
        return None


def _default_type() -> object:
    torch = loaded("torch")
    return None if torch is None else torch.get_default_dtype()


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
