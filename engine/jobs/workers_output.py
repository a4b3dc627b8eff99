"""What workers print: read line by line from pipes, within bounds, so that megabytes of it hurt nobody."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Final

MAX_LINE: Final = 4096
"""Characters of a line that are kept."""

LINES_A_SECOND: Final = 200
"""Lines handed on for each worker; more are counted and left out. What the engine itself warns of has as many for itself."""

_OWN: Final = (b"WARNING safelight.", b"ERROR safelight.")

LAST_LINES: Final = 20
"""Lines of stderr that are kept to tell why a worker died."""

_ENDS: Final = re.compile(rb"[\r\n]+")  # progress bars end their lines with \r


class Output:
    """The lines of one process: `last` are the latest of those that count as its last words."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self._on_line = on_line
        self._loop = asyncio.get_running_loop()
        self._rest: dict[int, bytes] = {}
        self._second = -1.0
        self._told = [0, 0]  # of others, of the engine
        self._left_out = 0

    @property
    def too_much(self) -> bool:
        """Whether lines are being left out, so that reading on can wait a moment."""
        return self._left_out > 0

    def feed(self, stream: int, data: bytes, *, keep: bool) -> None:
        """Take what came from `stream`; `keep`: its lines count as last words."""
        *lines, rest = _ENDS.split(self._rest.get(stream, b"") + data)
        self._rest[stream] = rest[:MAX_LINE]
        self._take(lines, keep)

    def end(self, stream: int, *, keep: bool) -> None:
        """`stream` has ended."""
        self._take([self._rest.pop(stream, b"")], keep)
        self._tell_left_out()

    def _take(self, lines: list[bytes], keep: bool) -> None:
        self._begin_second()
        for line in lines:
            own = line.startswith(_OWN)
            if not line:
                continue
            if self._told[own] >= LINES_A_SECOND:
                self._leave_out()
                continue
            self._told[own] += 1
            self._on_line(_text(line))
        if keep:
            self.last.extend(_text(line) for line in lines[-LAST_LINES:] if line)

    def _begin_second(self) -> None:
        now = self._loop.time()
        if now - self._second >= 1.0:
            self._tell_left_out()
            self._second, self._told = now, [0, 0]

    def _leave_out(self) -> None:
        """Count a line; how many there were is told when the second is over, even if nothing more is printed then."""
        self._left_out += 1
        if self._left_out == 1:
            self._loop.call_at(self._second + 1.01, self._begin_second)

    def _tell_left_out(self) -> None:
        if self._left_out:
            count, self._left_out = self._left_out, 0
            self._on_line(f"({count} further lines are left out)")


def _text(line: bytes) -> str:
    return line[:MAX_LINE].decode("utf-8", "replace").rstrip()
