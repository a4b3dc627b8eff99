"""The events of a run on their way to whoever follows it: one at a time, and none before the run is announced."""

from __future__ import annotations

import threading

from engine.execute.cancel import CancelToken
from engine.execute.events import AnyEvent, Sink


class Telling:
    """Passes events on to a sink. One that fails hears no more, and the run is cancelled, as nobody can follow it then."""

    __slots__ = ("_cancel", "_early", "_lock", "_sink", "announced", "failure")

    def __init__(self, sink: Sink | None, cancel: CancelToken) -> None:
        self._sink = sink
        self._cancel = cancel
        self.failure: BaseException | None = None
        """What the sink raised."""
        self._lock = threading.Lock()
        self._early: list[AnyEvent] = []
        self.announced = False
        """Whether planning is over."""

    @property
    def watched(self) -> bool:
        """Whether anybody is told of events."""
        return self._sink is not None

    def emit(self, event: AnyEvent) -> None:
        """Send one event to the sink; what happens while planning is held back until the run is announced."""
        if self._sink is None:
            return
        if not self.announced:
            self._early.append(event)
            return
        with self._lock:
            if self._sink is not None:
                try:
                    self._sink(event)
                except BaseException as error:
                    self._sink = None
                    self.failure = error
                    self._cancel.cancel()

    def announce(self, *events: AnyEvent) -> None:
        """Planning is over: send `events`, then what was held back."""
        early, self._early = self._early, []
        self.announced = True
        for event in (*events, *early):
            self.emit(event)
