"""One process of a worker: how it is started and ended, and what is said when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from engine.jobs.frames import Frames
from engine.jobs.workers_output import Output

CONNECT_SECONDS: Final = 60.0
"""A worker that has not said Hello by then is killed."""

LEAVE_SECONDS: Final = 15.0
"""A worker that closed its connection has this long to end by itself."""

SHORT_LIFE: Final = 10.0
"""A process that lived longer is restarted at once."""

MAX_DELAY: Final = 30.0
"""The longest wait before a restart, in seconds."""

_REST_SECONDS: Final = 1.0
"""How long what a dead process sent and printed is waited for; a child of it may hold the pipes open for ever."""


def restart_delay(short_lives: int, lived: float) -> tuple[int, float]:
    """How many short lives in a row that makes, and how many seconds to wait before the next: 0, 0.5, 1, 2, … 30."""
    if lived >= SHORT_LIFE:
        return 0, 0.0
    return short_lives + 1, 0.0 if not short_lives else min(MAX_DELAY, 0.5 * 2.0 ** min(short_lives - 1, 10))


class WorkerProcess:
    """Starts once. `secret` is what its Hello must say; `output.last` its last lines on stderr."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.secret = secrets.token_hex(16)
        self.output = Output(on_line)
        self._loop = asyncio.get_running_loop()
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._frames: Frames | None = None
        self._disconnected = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._killed_because = ""

    @property
    def pid(self) -> int | None:
        """Its process id, once started."""
        return self._process.pid if self._process is not None else None

    async def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start `command` with `env` on top of this process's environment. Raises OSError and ValueError."""
        process = self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | env,
            start_new_session=True,  # Ctrl-C in the terminal is the server's to act upon
        )
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            asyncio.create_task(self.output.read(process.stdout, keep=False)),
            asyncio.create_task(self.output.read(process.stderr, keep=True)),
        ]
        self._timer = self._loop.call_later(
            CONNECT_SECONDS, self.kill, f"did not connect within {CONNECT_SECONDS:.0f} seconds"
        )

    def connected(self, frames: Frames) -> None:
        """Its Hello was accepted."""
        self._frames = frames
        if self._timer is not None:
            self._timer.cancel()

    def disconnected(self, error: Exception | None) -> None:
        """Its connection has ended; the process must end too."""
        self._disconnected.set()
        if error is not None and not isinstance(error, OSError):
            self.kill(f"sent what is no message and was killed ({error})")
        elif not self._ended:
            self._timer = self._loop.call_later(LEAVE_SECONDS, self.kill, "closed its connection but did not end")

    def terminate(self) -> None:
        """Ask it to end, by signal."""
        if self._process is not None and not self._ended:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self, because: str) -> None:
        """End it at once."""
        if self._process is not None and not self._ended:
            self._killed_because = self._killed_because or because
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def ended(self) -> None:
        """Return once the process has ended and what it sent and printed has been taken."""
        assert self._process is not None
        await self._process.wait()
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        rest = list(self._readers)
        if self._frames is not None:
            rest.append(asyncio.create_task(_set(self._disconnected)))
        _, late = await asyncio.wait(rest, timeout=_REST_SECONDS)
        for task in late:
            task.cancel()
        if self._frames is not None:
            self._frames.abort()

    def reason(self) -> str:
        """Why it ended, to follow "Worker 0"."""
        assert self._process is not None
        code = self._process.returncode
        if self._killed_because:
            return self._killed_because
        if code is None or code >= 0:
            return "ended without being asked to" if code == 0 else f"ended with exit code {code}"
        return f"was killed by signal {-code}{_signal_hint(-code)}"


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def _signal_hint(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return ""
    hints = {
        "SIGKILL": "; the system may have run out of memory",
        "SIGSEGV": "; it crashed in native code",
        "SIGBUS": "; it crashed in native code, or the disk is full",
        "SIGABRT": "; it crashed in native code",
        "SIGILL": "; a library was built for another processor",
    }
    return f" ({name}){hints.get(name, '')}"
