"""One process of a worker: how it is started and ended, and what is said when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from engine.jobs.frames import FrameError, Frames
from engine.jobs.workers_output import Output

CONNECT_SECONDS: Final = 60.0
"""A worker that has not said Hello by then is killed."""

LEAVE_SECONDS: Final = 15.0
"""A worker that closed its connection has this long to end by itself."""

SHORT_LIFE: Final = 10.0
"""A process that lived longer is restarted at once."""

MAX_DELAY: Final = 30.0
"""The longest wait before a restart, in seconds."""

_PAUSE: Final = 0.002
"""Seconds between reads of an output that is too much anyway: the process waits rather than the server."""

_CRASHES: Final = {
    int(getattr(signal, name, 0)) for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP")
}
"""Signals that native code brings upon its own process."""

_REST_SECONDS: Final = 1.0
"""How long what a dead process sent and printed is waited for; a child of it may hold the pipes open for ever."""


def restart_delay(short_lives: int, lived: float) -> tuple[int, float]:
    """How many short lives in a row that makes, and how many seconds to wait before the next: 0, 0.5, 1, 2, … 30."""
    if lived >= SHORT_LIFE:
        return 0, 0.0
    return short_lives + 1, 0.0 if not short_lives else min(MAX_DELAY, 0.5 * 2.0 ** min(short_lives - 1, 10))


class WorkerProcess(asyncio.SubprocessProtocol):
    """Starts once. `secret` is what its Hello must say; `output.last` its last lines on stderr."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.secret = secrets.token_hex(16)
        self.output = Output(on_line)
        self._loop = asyncio.get_running_loop()
        self._process: asyncio.SubprocessTransport | None = None
        self._frames: Frames | None = None
        self._exited = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._silent = asyncio.Event()
        self._streams = {1, 2}
        self._timer: asyncio.TimerHandle | None = None
        self._killed_because = ""

    @property
    def pid(self) -> int | None:
        """Its process id, once started."""
        return self._process.get_pid() if self._process is not None else None

    async def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start `command` with `env` on top of this process's environment. Raises OSError and ValueError."""
        transport, _ = await self._loop.subprocess_exec(
            lambda: self,
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | env,
            start_new_session=True,  # Ctrl-C in the terminal is the server's to act upon
        )
        self._process = transport
        self._timer = self._loop.call_later(
            CONNECT_SECONDS, self.kill, f"did not connect within {CONNECT_SECONDS:.0f} seconds"
        )

    def connected(self, frames: Frames) -> None:
        """Its Hello was accepted."""
        self._frames = frames
        self._stop_timer()

    def disconnected(self, error: Exception | None) -> None:
        """Its connection has ended; the process must end too."""
        self._disconnected.set()
        if isinstance(error, FrameError):
            self.kill(f"sent what is no message and was killed ({error})")
        elif not self._exited.is_set():
            self._timer = self._loop.call_later(LEAVE_SECONDS, self.kill, "closed its connection but did not end")

    def terminate(self) -> None:
        """Ask it to end, by signal."""
        if self._process is not None and not self._exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self, because: str) -> None:
        """End it at once."""
        if self._process is not None and not self._exited.is_set():
            self._killed_because = self._killed_because or because
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def ended(self) -> None:
        """Return once the process has ended and what it sent and printed has been taken."""
        assert self._process is not None
        await self._exited.wait()
        self._stop_timer()
        rest = [self._silent, *([self._disconnected] if self._frames is not None else [])]
        waiting = [asyncio.create_task(_set(event)) for event in rest]
        _, late = await asyncio.wait(waiting, timeout=_REST_SECONDS)
        for task in late:
            task.cancel()
        if self._frames is not None:
            self._frames.abort()
        self._process.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # -- asyncio.SubprocessProtocol

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """The process printed."""
        self.output.feed(fd, data, keep=fd == 2)
        if self.output.too_much and self._process is not None:
            pipe = cast("asyncio.ReadTransport | None", self._process.get_pipe_transport(fd))
            if pipe is not None:
                pipe.pause_reading()
                self._loop.call_later(_PAUSE, _resume, pipe)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """One of its outputs was closed."""
        self._streams.discard(fd)
        self.output.end(fd, keep=fd == 2)
        if not self._streams:
            self._silent.set()

    def process_exited(self) -> None:
        """The process has ended; a child of it may still hold its outputs."""
        self._exited.set()

    def reason(self) -> str:
        """Why it ended, to follow "Worker 0"."""
        assert self._process is not None
        code = self._process.get_returncode()
        if self._killed_because:
            return self._killed_because
        if code is None or code >= 0:
            return "ended without being asked to" if code == 0 else f"ended with exit code {code}"
        return f"was killed by signal {-code}{_signal_hint(-code)}"

    def ended_itself(self) -> bool:
        """Whether what ran in it was its end: neither this server nor anybody else is known to have ended it."""
        assert self._process is not None
        code = self._process.get_returncode()
        return code is not None and not self._killed_because and (code >= 0 or -code in _CRASHES)


def _resume(pipe: asyncio.ReadTransport) -> None:
    if not pipe.is_closing():
        pipe.resume_reading()


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
        "SIGBUS": "; it crashed in native code, the disk is full, or a file was cut short while it was in use",
        "SIGABRT": "; it crashed in native code",
        "SIGILL": "; a library was built for another processor",
    }
    return f" ({name}){hints.get(name, '')}"
