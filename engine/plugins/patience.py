"""Doing what packs want done without waiting for ever: what takes too long goes on by itself, and the rest does not wait."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

TOLD_AFTER: Final = 20.0
"""After so many seconds the log tells where the work stands."""

COMPILERS: Final = (
    "numba",
    "llvmlite",
    "torch._dynamo",
    "torch._inductor",
    "torch.utils.cpp_extension",
    "triton",
    "setuptools",
    "distutils",
    "Cython",
    "pyximport",
    "cffi",
    "pythran",
    "cupy",
)
"""Modules that make machine code. What they do once takes as long as the machine lets it, and is kept for the next time."""

MOST_COMPILING: Final = 15 * 60.0
"""Seconds of compiling that are not counted."""

_LOOK: Final = 0.25
"""Seconds between two looks at what the work does."""

_log = logging.getLogger("safelight.packs")


class TookTooLongError(Exception):
    """Work that has not ended; the message says how long it was waited for, and where the work stands."""


def within(seconds: float | None, what: str, work: Callable[[], T]) -> T:
    """What `work` returns, or raises, on a thread that is waited for `seconds`; None: here, for as long as it takes.

    The time that goes into compiling is not counted, up to MOST_COMPILING.
    Raises TookTooLongError. The thread cannot be ended: it stays until its work is done or the process ends.
    """
    if seconds is None:
        return work()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # sys.exit() among them; raised where it is waited for
            errors.append(error)

    thread = threading.Thread(target=run, name=f"import {what}", daemon=True)
    thread.start()
    _wait(thread, seconds, what)
    if thread.is_alive():
        _log.error("Importing %s took longer than %g s. It stands at:\n%s", what, seconds, _stack(thread))
        raise TookTooLongError(f"{seconds:g} s; it stands at {_place(thread)}")
    if errors:
        raise errors[0]
    return results[0]


def _wait(thread: threading.Thread, seconds: float, what: str) -> None:
    """Until the thread has ended, or its own time and that for compiling are used up."""
    own = compiling = 0.0
    told = False
    while thread.is_alive() and own < seconds and compiling < MOST_COMPILING:
        began = time.monotonic()
        thread.join(min(_LOOK, seconds - own))
        took = time.monotonic() - began
        if thread.is_alive() and _compiles(thread):
            compiling += took
        else:
            own += took
        if not told and own + compiling > TOLD_AFTER and thread.is_alive():
            told = True
            _log.warning("Importing %s has taken %d s so far. It stands at:\n%s", what, TOLD_AFTER, _stack(thread))


def _compiles(thread: threading.Thread) -> bool:
    """Whether the thread is compiling: Python to bytecode, or something to machine code."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        name = f"{frame.f_globals.get('__name__', '')}."
        if any(name.startswith(f"{compiler}.") for compiler in COMPILERS) and frame.f_code.co_name != "<module>":
            return True
        if frame.f_code.co_name == "source_to_code" and name == "importlib._bootstrap_external.":
            return True
        frame = frame.f_back
    return False


def _stack(thread: threading.Thread) -> str:
    return "".join(traceback.format_list(_frames(thread)))


def _place(thread: threading.Thread) -> str:
    """The innermost line in one."""
    frames = _frames(thread)
    return f"{frames[-1].filename} line {frames[-1].lineno}: {frames[-1].line}" if frames else "an unknown line"


def _frames(thread: threading.Thread) -> traceback.StackSummary:
    frame = sys._current_frames().get(thread.ident or 0)
    return traceback.extract_stack(frame) if frame is not None else traceback.StackSummary()
