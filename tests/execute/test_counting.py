"""How far a run is: nodes of the submitted graph, whatever they expand into."""

from __future__ import annotations

from engine.execute import events
from engine.execute.counting import NodeCount


def of(node: str, parent: str | None = None) -> dict[str, str | None]:
    return {"node": node, "display_node": node.split(".")[0], "parent": parent}


def finished(node: str, parent: str | None = None, *, expands: bool = False) -> events.NodeFinished:
    return events.NodeFinished(**of(node, parent), class_type="A", seconds=0.0, expands=expands)


def test_a_node_that_expands_is_through_when_what_it_expanded_into_is():
    count = NodeCount()
    story = [
        (events.RunStarted(nodes_total=3), (0, 3)),
        (events.NodesCached(nodes=["1", "2.0"], inner={"2.0": "2"}), (1, 3)),
        (finished("2", expands=True), (1, 3)),
        (events.NodeExpanded(**of("2"), nodes=["2.0", "2.1"]), (1, 3)),
        (finished("2.1", "2"), (1, 3)),
        (events.NodeCollected(**of("2")), (2, 3)),
        (events.NodeFailed(**of("3"), class_type="A", message="no"), (3, 3)),
        (events.NodeReused(**of("4")), (4, 4)),
    ]
    for event, expected in story:
        count.take(event)
        assert (count.done, count.total) == expected, event
