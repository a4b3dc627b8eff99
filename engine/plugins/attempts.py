"""Attempts: which module a process is importing, kept on disk, as a pack may end the process that imports it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "importing-"


class Attempts:
    """Notes in `folder`; None: nothing is noted. `died` are the (module, digest) whose import a process did not survive."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.died = set(self._read())

    @contextmanager
    def importing(self, module: str, raw: str) -> Iterator[None]:
        """What is done inside may end the process."""
        note = self._folder / f"{_PREFIX}{os.getpid()}" if self._folder is not None else None
        if note is None:
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


def _lives(process: int) -> bool:
    import psutil

    return process != os.getpid() and bool(psutil.pid_exists(process))
