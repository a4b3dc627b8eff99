"""From the events of a run to progress that only ever grows, which the protocol asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.execute import events
from engine.execute.counting import NodeCount
from engine.mcp_tools.records import Progress, Tell


class Steps:
    """A sink of the executor's events. `titles` names the nodes by id."""

    def __init__(self, titles: Mapping[str, str], tell: Tell) -> None:
        self._titles = titles
        self._tell = tell
        self._count = NodeCount()
        self._shares: dict[str, float] = {}
        self._told = 0.0

    def __call__(self, event: events.Event) -> None:
        """Take one event."""
        self._count.take(event)
        match event:
            case events.NodesCached():
                if event.nodes:
                    self._say(f"{self._count.done} of {self._count.total} nodes are known already")
            case events.NodeStarted():
                self._say(self._title(event))
            case events.NodeProgress():
                if event.parent is None:
                    self._shares[event.node] = min(1.0, event.value / event.total) if event.total > 0 else 0.0
                self._say(f"{self._title(event)}: {event.value:g} of {event.total:g}")
            case events.NodeFinished() | events.NodeReused() | events.NodeSkipped() | events.NodeFailed():
                self._shares.pop(event.node, None)
                self._say(f"{self._title(event)}: {_ENDED[type(event)]}")

    def _title(self, event: events.NodeEvent) -> str:
        return self._titles.get(event.display_node, event.display_node)

    def _say(self, message: str) -> None:
        total = float(max(self._count.total, 1))
        self._told = max(self._told, min(self._count.done + sum(self._shares.values()), total))
        self._tell(Progress(self._told, total, message))


_ENDED: dict[type[Any], str] = {
    events.NodeFinished: "done",
    events.NodeReused: "reused",
    events.NodeSkipped: "skipped",
    events.NodeFailed: "failed",
}
