"""Attempts: which module a process is importing, kept on disk, as a pack may end the process that imports it.

A process ends during an import for many reasons that are none of the pack's: somebody kills it, its server is killed, the
power goes. So a module is *blamed* only where it was seen to be the cause, by one of these:

- the process itself, when the module calls `os._exit` or sends itself a signal, or when native code crashes (`faulthandler`);
- the server that started the process and reads its exit status (`blame`);
- the system, which has counted one more process that it ended for want of memory since the import began.

A module that is blamed twice, with no import in between that the process survived, is left out until one of its files changes.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from xxhash import xxh3_64_hexdigest

MOST_ENDS: Final = 2
"""So often a module may end the process that imports it; then it is left out."""

_NOTE: Final = "importing-"
_END: Final = "ended-"

_ending: Final = threading.Event()


class Attempts:
    """Notes in `folder`; None: nothing is noted."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        for note in self._notes():
            self._judge(note)
        self._ended = Counter(end.name.split("-")[1] for end in self._ends("*"))

    def is_out(self, module: str, raw: str) -> bool:
        """Whether importing `module`, whose sources have the digest `raw`, has ended a process too often."""
        return self._ended[_name(module, raw)] >= MOST_ENDS

    @contextmanager
    def importing(self, module: str, raw: str) -> Iterator[None]:
        """What is done inside may end the process."""
        note = _note(self._folder) if self._folder is not None else None
        if note is None or _ending.is_set():
            yield
            return
        with ExitStack() as stack:
            with suppress(OSError):
                note.parent.mkdir(parents=True, exist_ok=True)
                note.write_text(f"{module}\n{raw}\n{_ended_for_memory()}\n")
                stack.callback(note.unlink, missing_ok=True)
                stack.enter_context(_confessing(note))
            try:
                yield
            finally:  # the process lives, whatever it raised
                self._clear(_name(module, raw))

    def _clear(self, name: str) -> None:
        if self._ended.pop(name, 0):
            for end in self._ends(name):
                _remove(end)

    def _ends(self, name: str) -> list[Path]:
        return list(self._folder.glob(f"{_END}{name}-*")) if self._folder is not None else []

    def _notes(self) -> list[Path]:
        return list(self._folder.glob(f"{_NOTE}*")) if self._folder is not None else []

    def _judge(self, note: Path) -> None:
        """Keep what a dead process was importing if that was its end, else forget it."""
        number = note.name.removeprefix(_NOTE)
        if not number.isdecimal() or _lives(int(number), note):
            return
        with suppress(OSError, ValueError):
            module, raw, for_memory, seen = note.read_text(errors="replace").split("\n", 3)
            if seen.strip() or int(for_memory) < _ended_for_memory():
                note.rename(note.with_name(f"{_END}{_name(module, raw)}-{os.urandom(4).hex()}"))
        _remove(note)


def ended_words(path: Path) -> str:
    """What is told of the module at `path` once it is out."""
    return (
        f"{path}: importing it ended the process {MOST_ENDS} times. It is left out until one of its files changes, or "
        "until `safelight cache clear`."
    )


def withdraw(folder: Path) -> None:
    """Remove the note of this process in `folder` and write no more, as it ends for a reason that is no pack's."""
    _ending.set()
    _remove(_note(folder))


def blame(folder: Path, process: int, how: str) -> None:
    """Note that `process`, which is no more, ended by its own doing, as its exit status tells whoever started it."""
    with suppress(OSError), _note(folder, process).open("r+") as note:  # there is none unless it was importing a pack
        note.seek(0, os.SEEK_END)
        note.write(f"{how}\n")


def forgive(folder: Path) -> None:
    """Have every module that was left out imported again."""
    for end in folder.glob(f"{_END}*"):
        _remove(end)


@contextmanager
def _confessing(note: Path) -> Iterator[None]:
    """Have what the module does to end this process written into `note` before it is done."""
    process = os.getpid()

    def confess(what: str) -> None:
        if os.getpid() == process and not _ending.is_set():  # a child that was forked may end
            with suppress(OSError), note.open("a") as file:
                file.write(f"{what}\n")

    real_exit, real_kill = os._exit, os.kill

    def leave(status: int) -> Any:
        confess(f"os._exit({status})")
        real_exit(status)

    def kill(pid: int, number: int, /) -> None:
        if pid == process and number in (signal.SIGTERM, getattr(signal, "SIGKILL", None)):
            confess(f"os.kill({pid}, {number})")
        real_kill(pid, number)

    with _in_place("_exit", leave), _in_place("kill", kill), note.open("a") as file, _crashes_told(file):
        yield


@contextmanager
def _in_place(name: str, ours: Callable[..., Any]) -> Iterator[None]:
    """Have a function of `os` be another."""
    real = getattr(os, name)
    setattr(os, name, ours)
    try:
        yield
    finally:
        if getattr(os, name) is ours:  # else a pack has put its own there
            setattr(os, name, real)


@contextmanager
def _crashes_told(file: IO[str]) -> Iterator[None]:
    """Have a crash in native code written to `file`, unless it is told elsewhere: a worker's is known by its exit status."""
    if faulthandler.is_enabled():
        yield
        return
    faulthandler.enable(file, all_threads=False)
    try:
        yield
    finally:
        faulthandler.disable()


def _note(folder: Path, process: int | None = None) -> Path:
    return folder / f"{_NOTE}{os.getpid() if process is None else process}"


def _name(module: str, raw: str) -> str:
    return xxh3_64_hexdigest(f"{module}\n{raw}".encode("utf-8", "replace"))


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _ended_for_memory() -> int:
    """How many processes this system (or container) has ended for want of memory; 0 where it does not say."""
    for file in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with suppress(OSError, ValueError):
            for line in Path(file).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _lives(process: int, note: Path) -> bool:
    """Whether the process that wrote `note` is still there: another may have got its number since."""
    import psutil

    if process == os.getpid():
        return False
    try:
        return bool(psutil.Process(process).create_time() <= note.stat().st_mtime + 1)
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        return True
