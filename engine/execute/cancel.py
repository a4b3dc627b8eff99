"""Cancelling a run from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from engine.authoring.context import Cancelled


class CancelToken:
    """Shared by whoever may cancel and whatever must stop. Cancelling twice is cancelling once."""

    def __init__(self) -> None:
        self.cancelled = False
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Stop the run: a node in progress stops at its next progress report, and no other starts."""
        with self._lock:
            self.cancelled = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def check(self) -> None:
        """Raise Cancelled when the run was cancelled."""
        if self.cancelled:
            raise Cancelled

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call `callback` once cancelled; at once when that has happened already."""
        with self._lock:
            if not self.cancelled:
                self._callbacks.append(callback)
                return
        callback()

    def forget(self, callback: Callable[[], None]) -> None:
        """Undo `on_cancel`."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
