"""Doing what packs want done without waiting for ever: what takes too long goes on by itself, and the rest does not wait."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

TOLD_AFTER: Final = 20.0
"""After so many seconds the log tells where the work stands."""

_log = logging.getLogger("safelight.packs")


class TookTooLongError(Exception):
    """Work that has not ended; the message says how long it was waited for, and where the work stands."""


def within(seconds: float | None, what: str, work: Callable[[], T]) -> T:
    """What `work` returns, or raises, on a thread that is waited for `seconds`; None: here, for as long as it takes.

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
    thread.join(min(seconds, TOLD_AFTER))
    if thread.is_alive() and seconds > TOLD_AFTER:
        _log.warning("Importing %s has taken %d s so far. It stands at:\n%s", what, TOLD_AFTER, _stack(thread))
        thread.join(seconds - TOLD_AFTER)
    if thread.is_alive():
        _log.error("Importing %s took longer than %g s. It stands at:\n%s", what, seconds, _stack(thread))
        raise TookTooLongError(f"{seconds:g} s; it stands at {_place(thread)}")
    if errors:
        raise errors[0]
    return results[0]


def _stack(thread: threading.Thread) -> str:
    return "".join(traceback.format_list(_frames(thread)))


def _place(thread: threading.Thread) -> str:
    """The innermost line in one."""
    frames = _frames(thread)
    return f"{frames[-1].filename} line {frames[-1].lineno}: {frames[-1].line}" if frames else "an unknown line"


def _frames(thread: threading.Thread) -> traceback.StackSummary:
    frame = sys._current_frames().get(thread.ident or 0)
    return traceback.extract_stack(frame) if frame is not None else traceback.StackSummary()
