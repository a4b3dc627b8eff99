"""Running programs that may do anything: end themselves, never end, or print without end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, NamedTuple

TAIL_BYTES: Final = 8192
_CHUNK: Final = 1 << 16
_READER_SECONDS: Final = 2.0


class Ended(NamedTuple):
    """How a program ended. `code` is None when its time was up, and negative when a signal ended it."""

    code: int | None
    printed: str
    """The last of what it printed."""


def run_supervised(
    command: Sequence[str], folder: Path, seconds: float, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run `command` in `folder` for at most `seconds`, and end all that it started. Raises OSError when it cannot be started."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment) if environment is not None else None,
        start_new_session=True,
    )
    tail = _Tail(process.stdout)
    code: int | None
    try:
        code = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        _end(process)
    return Ended(code, tail.text())


class _Tail:
    """Reads all of a stream, so that whoever writes is not held up, and keeps the end of it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream
        self._kept = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> str:
        """What is kept; begins with `…` when something was left out."""
        self._thread.join(_READER_SECONDS)  # longer only if somebody else holds the other end
        kept = self._kept
        text = kept[-TAIL_BYTES:].decode(errors="replace")
        return f"…{text}" if len(kept) > TAIL_BYTES else text

    def _read(self) -> None:
        assert self._stream is not None
        with suppress(OSError, ValueError):
            while chunk := os.read(self._stream.fileno(), _CHUNK):
                self._kept = (self._kept + chunk)[-TAIL_BYTES - 1 :]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and what it left behind."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
