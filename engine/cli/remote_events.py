"""The events of a server's job as those of a run, so that they are shown like a local one's, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.execute import events
from engine.execute.events import Counts, NodeFailed, Status
from engine.execute.result import NodeOutcome, RunResult


class Heard:
    """Hears the stream of a job. `titles` learns what nodes are called that it does not know; `classes` are their known types."""

    def __init__(
        self, sink: Callable[[events.AnyEvent], None], titles: dict[str, str], classes: Mapping[str, str]
    ) -> None:
        self._sink = sink
        self._titles = titles
        self._classes = dict(classes)
        self._begun = False
        self._running: set[str] = set()
        self._over: set[str] = set()
        self.told: Mapping[str, Any] = {}
        """What the server told last of all of the job."""

    def __call__(self, name: str, data: Mapping[str, Any]) -> None:
        """Take one event. One that is told again after the connection was lost is not passed on twice."""
        if name in ("accepted", "finished"):
            self.told = data
            if name == "finished":
                self._missed(data)
        elif name == "node":
            self._begin(data)
            self._node(data)
        elif name == "progress":
            node = str(data.get("node"))
            value, total = float(data.get("value") or 0), float(data.get("max") or 0)
            self._sink(events.NodeProgress(node=node, display_node=node, value=value, total=total))
        elif name == "notice":
            self._sink(events.Warned(message=str(data.get("message"))))

    def _missed(self, data: Mapping[str, Any]) -> None:
        """Tell what nobody heard, as the job was over, or the connection lost, before."""
        ran, reused = list(data.get("ran") or ()), list(data.get("reused") or ())
        self._begin({"total": len(ran) + len(reused)})
        for node in reused:
            self._node({"node": node, "state": "reused"})
        for one in ran:
            if str(one["node"]) not in self._over:
                facts = {"node": one["node"], "class_type": self._classes.get(str(one["node"]), "")}
                if str(one["node"]) not in self._running:
                    self._node({**facts, "state": "running"})
                self._node({**facts, "state": "finished", "seconds": one.get("seconds")})

    def _begin(self, data: Mapping[str, Any]) -> None:
        if not self._begun:
            self._begun = True
            self._sink(events.RunStarted(nodes_total=int(data.get("total") or 0)))

    def _node(self, data: Mapping[str, Any]) -> None:
        node, state, kind = str(data.get("node")), str(data.get("state")), str(data.get("class_type") or "")
        if kind:
            self._titles.setdefault(node, kind)
            self._classes.setdefault(node, kind)
        place: dict[str, Any] = {"node": node, "display_node": node}
        if node in self._over:
            return
        if state == "running":
            self._running.add(node)
            self._sink(events.NodeStarted(**place, class_type=kind))
            return
        self._over.add(node)
        if state == "reused":
            self._sink(events.NodeReused(**place))
        elif state == "finished":
            self._sink(events.NodeFinished(**place, class_type=kind, seconds=float(data.get("seconds") or 0)))
        elif state == "failed":
            self._sink(events.NodeFailed(**place, class_type=kind, message=str(data.get("message") or "")))
        elif state == "skipped":
            self._sink(events.NodeSkipped(**place, reason="upstream_failed"))


def result_of(told: Mapping[str, Any], status: Status) -> RunResult:
    """The result of a job as the server tells it."""
    nodes = {
        str(one["node"]): NodeOutcome("ran", float(one.get("seconds") or 0), str(one["node"]))
        for one in told.get("ran") or ()
    }
    nodes |= {str(node): NodeOutcome("reused", 0.0, str(node)) for node in told.get("reused") or ()}
    failures = [_failure(told["error"])] if told.get("error") else []
    nodes |= {one.node: NodeOutcome("failed", 0.0, one.node) for one in failures if one.node}
    kinds = [one.status for one in nodes.values()]
    counts = Counts(ran=kinds.count("ran"), reused=kinds.count("reused"), failed=kinds.count("failed"))
    return RunResult(status, nodes, {}, failures, counts, float(told.get("seconds") or 0))


def _failure(error: Mapping[str, Any]) -> NodeFailed:
    node, kind = str(error.get("node_id") or ""), str(error.get("node_type") or "the job")
    return NodeFailed(
        node=node,
        display_node=node,
        class_type=kind,
        message=str(error.get("message") or "It failed."),
        exception_type=str(error.get("type") or ""),
        input=error.get("input"),
    )
