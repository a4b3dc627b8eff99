"""The process that draws, started when it is first needed and ended when it takes too long."""

from __future__ import annotations

import atexit
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from engine.media.shaders.frames import IDLE_SECONDS, receive, send
from engine.media.shaders.source import CompileError, ShaderError
from engine.processes import python_command, python_environment

SECONDS: Final = 120.0
"""How long one picture may take; a shader that goes on for ever is ended then, with its process."""
_TICK: Final = 0.05

_MISSING: Final = (
    "Shaders need the Python package moderngl, which is not installed. Install it with `pip install moderngl` (or "
    "`pip install 'safelight[shaders]'`), and start again."
)
_NO_CONTEXT: Final = (
    "Shaders need OpenGL 3.3 or later without a window, and none could be had ({}). Install a graphics driver, or Mesa's "
    "software one: on Debian and Ubuntu `apt install libegl1 libgl1-mesa-dri`."
)


class Painter:
    """A process that draws. Not for several threads at a time."""

    def __init__(self) -> None:
        self.used = time.monotonic()
        self._process = subprocess.Popen(
            python_command("-m", "engine.media.shaders.child"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=python_environment(),
        )

    @property
    def alive(self) -> bool:
        """Whether it can be asked, and will not end by itself before that."""
        return self._process.poll() is None and time.monotonic() - self.used < IDLE_SECONDS / 2

    def ask(
        self, request: dict[str, Any], arrays: Sequence[Any], waiting: Callable[[], None], seconds: float = SECONDS
    ) -> tuple[dict[str, Any], list[bytearray]]:
        """The answer to one request. `waiting` is called again and again, and may raise.

        Raises ShaderError for what the other side refuses, when it dies, and when it takes longer than `seconds`. It is
        ended in the last two cases, and when `waiting` raises.
        """
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._exchange, args=(request, arrays, answers), daemon=True).start()
        deadline = time.monotonic() + seconds
        try:
            answer = None
            while answer is None:
                with suppress(queue.Empty):
                    answer = answers.get(timeout=_TICK)
                waiting()
                if answer is None and time.monotonic() > deadline:
                    raise ShaderError(
                        f"The shader took longer than {seconds:g} seconds for one picture and was ended. Look for a loop that "
                        "goes on for ever, or draw fewer pixels or passes."
                    )
        except BaseException:
            self.end()
            raise
        if isinstance(answer, Exception):
            self.end()
            raise ShaderError(
                f"The process that draws ended without an answer ({answer}). The graphics driver does not take this shader; "
                "try a simpler one, or another driver."
            )
        self.used = time.monotonic()
        message, drawn = answer
        refused(message)
        return message, drawn

    def end(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.close()

    def _exchange(self, message: dict[str, Any], arrays: Sequence[Any], answers: queue.SimpleQueue[Any]) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            send(stdin, message, arrays)
            answers.put(receive(stdout) or EOFError("no answer"))
        except (OSError, ValueError) as error:
            answers.put(error)


def refused(answer: dict[str, Any]) -> None:
    """Raise ShaderError for a refusal, a CompileError for a compiler's, with what to do about a machine that draws nothing."""
    match answer.get("kind"):
        case None:
            return
        case "missing":
            raise ShaderError(_MISSING)
        case "context":
            raise ShaderError(_NO_CONTEXT.format(answer["error"]))
        case "compile":
            raise CompileError(answer["error"])
        case _:
            raise ShaderError(answer["error"])


_idle: list[Painter] = []
_lock: Final = threading.Lock()


@contextmanager
def painter() -> Iterator[Painter]:
    """A process that draws, for one caller at a time; one is kept for the next."""
    with _lock:
        one = _idle.pop() if _idle else None
    if one is None or not one.alive:
        one = Painter()
    try:
        yield one
    finally:
        with _lock:
            keep = one.alive and not _idle
            if keep:
                _idle.append(one)
        if not keep:
            one.end()


@atexit.register
def _end() -> None:
    with _lock:
        while _idle:
            _idle.pop().end()
