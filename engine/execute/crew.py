"""Crew: the threads at work on a run, and what is ready for them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from engine.execute.cancel import CancelToken


class Crew:
    """Counts who is at work on a run, `size` threads at most; whoever is counted in is given a thread by the executor.

    It knows no run, so that a run is gone as soon as nobody holds it. May be called from any thread.
    """

    __slots__ = ("_cancel", "_lock", "_over", "_size", "_steps_seen", "_threads", "coroutines", "ready", "steps")

    def __init__(self, size: int, cancel: CancelToken) -> None:
        self._size = size
        self._cancel = cancel
        self._lock = threading.Lock()
        self._threads = 0
        self._over = False
        self._steps_seen = -1
        self.ready: deque[Any] = deque()
        """Work for threads: states to start, and calls to make (what coroutines gave, what they ask for)."""
        self.coroutines = 0
        """How many async nodes run."""
        self.steps = 0
        """Counts what threads took, so that the watch sees whether they are stuck."""

    def join(self) -> bool:
        """Count one more thread in; False when there are as many as may be, or the run is over."""
        with self._lock:
            if self._over or self._threads >= self._size:
                return False
            self._threads += 1
            return True

    def leave(self) -> int | None:
        """Count a thread out that found nothing to do: how many stay, or None when there is something for it after all."""
        with self._lock:
            if self.ready and not self._cancel.cancelled:
                return None
            self._threads -= 1
            return self._threads

    def begin_coroutine(self) -> None:
        """Count an async node that begins."""
        with self._lock:
            self.coroutines += 1

    def coroutine_ended(self) -> None:
        """Count a thread in for an async node that ended, so that at no moment nobody seems to be at work."""
        with self._lock:
            self.coroutines -= 1
            self._threads += 1

    def resume(self) -> bool:
        """Count a thread in when something is ready and nobody is at work."""
        with self._lock:
            if self._over or self._threads or not self.ready:
                return False
            self._threads = 1
            return True

    def end(self) -> bool:
        """Let no thread in any more; False when somebody is at work, something is ready, or that was so already."""
        with self._lock:
            if self._over or self._threads or self.ready:
                return False
            self._over = True
            return True

    def stuck(self) -> bool:
        """Whether something is ready, and no thread took anything since the last call."""
        seen, self._steps_seen = self._steps_seen, self.steps
        return bool(self.ready) and self._steps_seen == seen
