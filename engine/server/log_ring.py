"""The latest lines of the log, kept for clients that ask to see them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from engine.server.logs import Lines, redacted

_LONGEST = 20_000


class LogEntry(msgspec.Struct, frozen=True):
    """One line (`m`, which ends in a line break) and its time (`t`, ISO 8601 in UTC)."""

    t: str
    m: str


Listener: TypeAlias = Callable[[list[dict[str, str]]], None]
"""Called with new entries as JSON knows them: `[{"t": …, "m": …}]`."""


class LogRing(logging.Handler):
    """Keeps the last `capacity` entries, without secrets. Safe among threads."""

    def __init__(self, capacity: int = 2000) -> None:
        super().__init__()
        self.setFormatter(Lines())
        self._entries: deque[LogEntry] = deque(maxlen=capacity)
        self._listeners: tuple[Listener, ...] = ()
        self._telling = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, and tell the listeners."""
        try:
            self._add(self.format(record), record.created)
        except Exception:
            self.handleError(record)

    def add(self, text: str) -> None:
        """Keep a line that is no record: what a worker printed."""
        self._add(redacted(text), time.time())

    def entries(self) -> list[LogEntry]:
        """What is kept, oldest first."""
        return list(self._entries)

    def text(self) -> str:
        """What is kept, as one text."""
        return "".join(entry.m for entry in self.entries())

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with new entries, on whichever thread logs it, until the returned function is called."""
        self._listeners = (*self._listeners, listener)

        def remove() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

        return remove

    def _add(self, text: str, created: float) -> None:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))
        entry = LogEntry(f"{seconds}.{int(created % 1 * 1000):03}Z", f"{text[:_LONGEST].rstrip()}\n")
        self._entries.append(entry)
        if getattr(self._telling, "now", False):
            return  # a listener has logged something: telling it would never end
        self._telling.now = True
        try:
            for listener in self._listeners:
                listener([{"t": entry.t, "m": entry.m}])
        finally:
            self._telling.now = False
