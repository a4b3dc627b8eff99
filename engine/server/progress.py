"""How far a job is: counted from the events of its run, so that who comes late gets the whole of it at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from engine.execute.counting import NodeCount
from engine.execute.events import (
    AnyEvent,
    NodeEvent,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeReused,
    NodesCached,
    NodeSkipped,
    NodeStarted,
)
from engine.jobs.messages import JobPreview

MOST_SHOWN: Final = 1_000
"""Nodes of which is kept what they showed while the job runs; the history has all."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a run. Nodes are those of the submitted graph; `value` is 0..1 of all the work."""

    value: float = 0.0
    nodes_done: int = 0
    nodes_total: int = 0
    current_node: str | None = None
    current_node_class: str | None = None
    step: int | None = None
    steps: int | None = None
    message: str | None = None


class ProgressCounter:
    """Counts the events of one attempt of a job."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, Any]] = {}
        """What nodes have shown so far (`ui`), by the node of the submitted graph."""
        self.preview: JobPreview | None = None
        """The last intermediate picture of a node that still runs."""
        self._count = NodeCount()
        self._running: dict[str, NodeStarted] = {}
        self._steps: tuple[float, float] | None = None

    def feed(self, events: Iterable[AnyEvent]) -> None:
        """Count events, in their order."""
        for event in events:
            self._count.take(event)
            look = _LOOK.get(type(event))
            if look is not None:
                look(self, event)

    def now(self) -> Progress:
        """The state as it is."""
        current = next(reversed(self._running.values()), None)
        done, total = self._count.done, max(self._count.total, self._count.done + len(self._running))
        step, steps = self._steps if current is not None and self._steps is not None else (None, None)
        part = step / steps if step is not None and steps else 0.0
        kind = current.class_type if current is not None else None
        message = kind if step is None or steps is None else f"{kind} {step:g}/{steps:g}"
        return Progress(
            value=min(1.0, (done + min(1.0, part)) / total) if total else 0.0,
            nodes_done=done,
            nodes_total=total,
            current_node=current.node if current is not None else None,
            current_node_class=kind,
            step=int(step) if step is not None else None,
            steps=int(steps) if steps is not None else None,
            message=message,
        )

    def _cached(self, event: NodesCached) -> None:
        for node, ui in event.ui.items():
            self._show(event.inner.get(node, node), ui)

    def _started(self, event: NodeStarted) -> None:
        if event.parent is None:
            self._running[event.node] = event
            self._steps = None

    def _progress(self, event: NodeProgress) -> None:
        if event.total > 0:
            self._steps = (event.value, event.total)

    def _ended(self, event: NodeEvent) -> None:
        ui = getattr(event, "ui", None)
        if ui is not None:
            self._show(event.display_node, ui)
        if event.parent is None:
            self._running.pop(event.node, None)
            self._steps = None
        if self.preview is not None and self.preview.node == event.node:
            self.preview = None

    def _show(self, node: str, ui: dict[str, Any]) -> None:
        if node in self.shown or len(self.shown) < MOST_SHOWN:
            self.shown[node] = ui


_LOOK: Final[dict[type, Any]] = {
    NodesCached: ProgressCounter._cached,
    NodeStarted: ProgressCounter._started,
    NodeProgress: ProgressCounter._progress,
    NodeFinished: ProgressCounter._ended,
    NodeReused: ProgressCounter._ended,
    NodeSkipped: ProgressCounter._ended,
    NodeFailed: ProgressCounter._ended,
}
