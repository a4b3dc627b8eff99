"""A worker ends with its server, however that ends and whatever the worker is doing.

Its connection tells first. If a node holds the event loop, a thread that looks for the parent process does. And where native
code holds the interpreter, so that no line of Python runs, Linux ends the process by itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

WATCH_SECONDS: Final = 1.0
"""How often the worker looks whether its server still lives."""

_PR_SET_PDEATHSIG: Final = 1


def end_with(server: int, on_gone: Callable[[], None], seconds: float) -> None:
    """Once process `server`, which started this one, is gone: call `on_gone` on a thread, and end `seconds` later.

    What stands between (a launcher of Python's) is taken for it; the server may even have ended before this is called.
    """
    arrange_alarm()
    parent = os.getppid()
    if parent != server and not _lives(server):
        parent = server
    threading.Thread(target=_watch, args=(parent, on_gone, seconds), name="parent-watch", daemon=True).start()


def arrange_alarm() -> None:
    """On Linux, have the system end this process ten seconds after its parent, also while native code holds the interpreter.

    The system sends SIGUSR1 when the parent ends. Its handler is the C library's own `alarm`, which takes a number of seconds:
    it is called with the number of the signal, which is 10, and what `alarm` brings ends the process unless somebody handles it.
    """
    if not sys.platform.startswith("linux") or int(signal.SIGUSR1) != 10:
        return
    with suppress(OSError, AttributeError):
        library: Any = ctypes.CDLL(None)
        library.signal.argtypes, library.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
        library.signal(signal.SIGUSR1, ctypes.cast(library.alarm, ctypes.c_void_p))
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0)


def _lives(process: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(process))


def _watch(parent: int, on_gone: Callable[[], None], seconds: float) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    on_gone()
    time.sleep(seconds)
    os._exit(1)
