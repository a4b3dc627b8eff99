"""How many nodes of a run are through, counted from its events: the same whoever shows it."""

from __future__ import annotations

from typing import Any, Final

from engine.execute.events import (
    Event,
    NodeCollected,
    NodeEvent,
    NodeFailed,
    NodeFinished,
    NodeReused,
    NodesCached,
    NodeSkipped,
    RunStarted,
)


class NodeCount:
    """Counts the nodes of the submitted graph over one attempt. A node that expands is through when its expansion is."""

    __slots__ = ("_through", "_total")

    def __init__(self) -> None:
        self._through: set[str] = set()
        self._total = 0

    def take(self, event: Event) -> None:
        """Count one event, in the order of the run."""
        count = _COUNT.get(type(event))
        if count is not None:
            count(self, event)

    @property
    def done(self) -> int:
        """Nodes that have ended, well or not, or were reused."""
        return len(self._through)

    @property
    def total(self) -> int:
        """Nodes that are needed, as far as is known: lazy inputs may add some."""
        return max(self._total, len(self._through))

    def _started(self, event: RunStarted) -> None:
        self._total = event.nodes_total

    def _cached(self, event: NodesCached) -> None:
        inner = event.inner
        self._through.update([node for node in event.nodes if node not in inner] if inner else event.nodes)

    def _ended(self, event: NodeEvent) -> None:
        if event.parent is None:
            self._through.add(event.node)

    def _finished(self, event: NodeFinished) -> None:
        if not event.expands:
            self._ended(event)


_COUNT: Final[dict[type, Any]] = {
    RunStarted: NodeCount._started,
    NodesCached: NodeCount._cached,
    NodeFinished: NodeCount._finished,
    NodeReused: NodeCount._ended,
    NodeSkipped: NodeCount._ended,
    NodeFailed: NodeCount._ended,
    NodeCollected: NodeCount._ended,
}
