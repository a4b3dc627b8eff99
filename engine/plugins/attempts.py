"""Attempts: which module a process is importing, kept on disk, as a pack may end the process that imports it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "importing-"

_ending: Final = threading.Event()


class Attempts:
    """Notes in `folder`; None: nothing is noted. `died` are the (module, digest) whose import a process did not survive."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.died = set(self._read())

    @contextmanager
    def importing(self, module: str, raw: str) -> Iterator[None]:
        """What is done inside may end the process."""
        note = _note(self._folder) if self._folder is not None else None
        if note is None or _ending.is_set():
            yield
            return
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(f"{module}\n{raw}\n")
        try:
            yield
        finally:
            with suppress(OSError):
                note.unlink(missing_ok=True)

    def _read(self) -> Iterator[tuple[str, str]]:
        notes = list(self._folder.glob(f"{_PREFIX}*")) if self._folder is not None else []
        for note in notes:
            number = note.name.removeprefix(_PREFIX)
            if number.isdecimal() and not _lives(int(number)):
                with suppress(OSError, ValueError):
                    module, raw = note.read_text().split("\n")[:2]
                    note.unlink(missing_ok=True)
                    yield module, raw


def withdraw(folder: Path) -> None:
    """Remove the note of this process in `folder` and write no more, as it ends for a reason that is no pack's."""
    _ending.set()
    with suppress(OSError):
        _note(folder).unlink(missing_ok=True)


def _note(folder: Path) -> Path:
    return folder / f"{_PREFIX}{os.getpid()}"


def _lives(process: int) -> bool:
    import psutil

    return process != os.getpid() and bool(psutil.pid_exists(process))
