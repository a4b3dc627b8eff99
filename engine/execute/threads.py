"""A pool of daemon threads.

Unlike `concurrent.futures`, it keeps no result per task (a run has its own), and a thread that is stuck in a node does not
keep the process from ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


class Threads:
    """Calls functions on up to `size` threads, which are started as they are needed."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._tasks: SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()

    def submit(self, function: Callable[..., None], *values: Any) -> None:
        """Call `function(*values)`, which must not raise, on a thread; it waits when all are busy."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self._size:
                thread = threading.Thread(target=self._loop, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._tasks.put((function, values))

    def close(self) -> None:
        """Let the threads finish what was submitted, and end."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def _loop(self) -> None:
        while (task := self._tasks.get()) is not None:
            function, values = task
            function(*values)
            del task, function, values  # an idle thread must not keep a run alive
            with self._lock:
                self._idle += 1
