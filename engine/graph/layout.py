"""From a prompt to a workflow that an editor can show: its topological generations stand from left to right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.graph.dynamic import GROWS, grown
from engine.graph.prompt import Link, Node, NodeId, Prompt, prompt_from_json
from engine.graph.schema import Catalogue, InputSpec, NodeSpec
from engine.graph.topology import generations
from engine.graph.widgets import named_values, value_list, widget_inputs

_WIDTH, _GAP_X, _GAP_Y = 315, 70, 50
_ROW, _TITLE, _TEXT_BOX = 24, 30, 120
_SCHEMA_VERSION = 0.4


def prompt_to_workflow(prompt: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """Lay out `prompt` (JSON, or a `Prompt`) as a saved workflow, in pixels from the top left.

    Converting back gives the same prompt, with the defaults of its widgets filled in.
    Ids that are whole numbers are kept, others get new ones. Raises GraphError (`dependency_cycle`).
    """
    graph: Prompt = {id: entry for id, entry in prompt.items() if isinstance(entry, Node)} or prompt_from_json(prompt)
    columns = generations(graph)
    numbers = _numbers(graph)
    drawing = _Drawing(graph, catalogue, numbers)
    positions = _place(graph, columns, {node_id: drawing.height(node_id) for node_id in graph})
    ordered = [node_id for column in columns for node_id in column]
    nodes = [drawing.node(node_id, positions[node_id], rank) for rank, node_id in enumerate(ordered)]
    drawing.tell_outputs(nodes)
    return {
        "last_node_id": max(numbers.values(), default=0),
        "last_link_id": len(drawing.links),
        "nodes": nodes,
        "links": drawing.links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": _SCHEMA_VERSION,
    }


def _numbers(graph: Prompt) -> dict[NodeId, int]:
    """A whole number for each node: its own id where that is one."""
    numbers = {node_id: int(node_id) for node_id in graph if node_id.isdecimal() and str(int(node_id)) == node_id}
    last = max(numbers.values(), default=0)
    for node_id in graph:
        if node_id not in numbers:
            last += 1
            numbers[node_id] = last
    return numbers


def _place(
    graph: Prompt, columns: list[list[NodeId]], heights: Mapping[NodeId, int]
) -> dict[NodeId, tuple[float, float]]:
    """Positions by column; within one, nodes stand in the order of the mean height of what they read."""
    positions: dict[NodeId, tuple[float, float]] = {}
    for index, column in enumerate(columns):

        def middle(node_id: NodeId) -> float:
            linked = [positions[link.node][1] for _, link in graph[node_id].links() if link.node in positions]
            return sum(linked) / len(linked) if linked else 0.0

        y = 0.0
        for node_id in sorted(column, key=middle):
            positions[node_id] = (index * (_WIDTH + _GAP_X), y)
            y += heights[node_id] + _GAP_Y
    return positions


class _Drawing:
    """Makes the saved form of nodes and collects their links."""

    def __init__(self, graph: Prompt, catalogue: Catalogue, numbers: Mapping[NodeId, int]) -> None:
        self._graph = graph
        self._catalogue = catalogue
        self._numbers = numbers
        self.links: list[list[Any]] = []

    def height(self, node_id: NodeId) -> int:
        node = self._graph[node_id]
        spec = self._catalogue.spec(node.class_type)
        if spec is None:
            return _TITLE + _ROW * max(1, len(node.inputs))
        widgets = widget_inputs(spec)
        sockets = max(len(spec.inputs) - len(widgets), len(spec.outputs))
        return _TITLE + _ROW * sockets + sum(_TEXT_BOX if one.multiline else _ROW for one in widgets)

    def node(self, node_id: NodeId, position: tuple[float, float], rank: int) -> dict[str, Any]:
        """The saved form of one node. Links are numbered in the order in which they are met."""
        node = self._graph[node_id]
        spec = self._catalogue.spec(node.class_type)
        saved: dict[str, Any] = {
            "id": self._numbers[node_id],
            "type": node.class_type,
            "pos": list(position),
            "size": [_WIDTH, self.height(node_id)],
            "flags": {},
            "order": rank,
            "mode": 0,
            "inputs": self._inputs(node_id, node, spec),
            "outputs": [{"name": one.name, "type": one.type, "links": []} for one in (spec.outputs if spec else ())],
            "properties": {"Node name for S&R": node.class_type},
            **_values(node, spec),
        }
        title = node.meta.get("title")
        if isinstance(title, str) and title and (spec is None or title not in (spec.display_name, spec.name)):
            saved["title"] = title
        return saved

    def _inputs(self, node_id: NodeId, node: Node, spec: NodeSpec | None) -> list[dict[str, Any]]:
        declared = spec.inputs if spec is not None else ()
        sockets = [one for one in declared if not one.is_widget and one.type not in GROWS]
        widgets = widget_inputs(spec) if spec is not None else []
        known = {one.name for one in declared}
        others = [
            InputSpec(name=name, type="*", link_only=type(value) is Link)
            for name, value in node.inputs.items()
            if name not in known
        ]
        entries: list[dict[str, Any]] = []
        for one in (*sockets, *widgets, *others):
            value = node.inputs.get(one.name)
            if one in others and type(value) is not Link and spec is not None:
                continue  # an undeclared constant stands among the values only
            target_slot = len(entries)
            entry: dict[str, Any] = {"name": one.name, "type": one.type, "link": None}
            if one.is_widget or (spec is None and type(value) is not Link):
                entry["widget"] = {"name": one.name}
            if type(value) is Link and value.node in self._graph:
                entry["link"] = self._link(value, node_id, target_slot)
            entries.append(entry)
        return entries

    def _link(self, link: Link, node_id: NodeId, target_slot: int) -> int:
        source = self._catalogue.spec(self._graph[link.node].class_type)
        kind = source.outputs[link.slot].type if source is not None and 0 <= link.slot < len(source.outputs) else "*"
        number = len(self.links) + 1
        self.links.append([number, self._numbers[link.node], link.slot, self._numbers[node_id], target_slot, kind])
        return number

    def tell_outputs(self, nodes: list[dict[str, Any]]) -> None:
        """Write the numbers of the links into the outputs that they leave from."""
        outputs = {saved["id"]: saved["outputs"] for saved in nodes}
        for number, origin, slot, _, _, kind in self.links:
            entries = outputs[origin]
            while len(entries) <= slot:
                entries.append({"name": kind, "type": kind, "links": []})
            entries[slot]["links"].append(number)


def _values(node: Node, spec: NodeSpec | None) -> dict[str, Any]:
    """Widget values: a list in the order of the class, and all by name where some are not of declared widgets."""
    constants = {name: value for name, value in node.inputs.items() if type(value) is not Link}
    if spec is None:
        return {"widgets_values": list(constants.values())}
    if any(one.is_widget for growing in spec.inputs for one in grown(growing, ())):
        return {"widgets_values": constants}  # how many have grown, a list cannot say
    listed = {"widgets_values": value_list(spec, constants)}
    if constants.keys() <= (named_values(listed, spec) or {}).keys():
        return listed
    return {**listed, "widgets_values_named": constants}
