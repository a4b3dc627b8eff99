"""From the *workflow* form that editors save to the *prompt* form that runs.

What only means something on the canvas goes: notes, reroutes, primitives, set/get pairs, muted and bypassed nodes, the
borders of subgraphs. Every link is followed through these to the node that makes the value, and every widget value gets
its input's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from engine.graph.problems import Problem, problem
from engine.graph.prompt import wrap
from engine.graph.saved import BYPASSED, INPUT_SIDE, MUTED, SET, End, Json, first_value, objects
from engine.graph.schema import Catalogue, NodeSpec
from engine.graph.scopes import Scope, instance_input, instance_value, read_scopes
from engine.graph.widgets import listed_widgets, named_values

NOTES: Final = frozenset({"Note", "MarkdownNote"})
REROUTES: Final = frozenset({"Reroute", "Reroute (rgthree)"})
PRIMITIVE, GET = "PrimitiveNode", "GetNode"
VIRTUAL: Final = NOTES | REROUTES | {PRIMITIVE, SET, GET}
"""Types of nodes that editors have and the engine never sees."""


class Conversion(NamedTuple):
    """A workflow as a prompt (JSON), and what was wrong with the workflow itself.

    Nodes of unknown types are in the prompt, with as much as can be known of their inputs: `validate.check` reports them.
    """

    prompt: dict[str, Any]
    problems: list[Problem]


class _Constant(NamedTuple):
    value: Any


_Source = list[Any] | _Constant | None
"""What feeds an input: a link `[id, slot]`, a value, or nothing."""


def workflow_to_prompt(workflow: Json, catalogue: Catalogue) -> Conversion:
    """Convert a saved workflow. Malformed parts are left out and reported; it never raises on bad data."""
    problems: list[Problem] = []
    top = read_scopes(workflow, problems)
    prompt: dict[str, Any] = {}
    for scope in top.walk():
        for node_id, node in scope.nodes.items():
            if _runs(scope, node_id, node, catalogue):
                spec = catalogue.spec(node["type"])
                prompt[scope.prefix + node_id] = {
                    "class_type": node["type"],
                    "inputs": _inputs(scope, node_id, node, spec, problems),
                    "_meta": {"title": _title(node, spec)},
                }
    return Conversion(prompt, problems)


def _runs(scope: Scope, node_id: str, node: Json, catalogue: Catalogue) -> bool:
    if node["type"] in VIRTUAL or node.get("mode") in (MUTED, BYPASSED) or node_id in scope.children:
        return False
    return node["type"] in catalogue or _has_links(node)


def _has_links(node: Json) -> bool:
    """Whether anything is linked to a node. An unknown node without links is an ornament of some editor extension."""
    ends = [*objects(node.get("inputs")), *objects(node.get("outputs"))]
    return any(entry.get("link") is not None or entry.get("links") for entry in ends)


def _title(node: Json, spec: NodeSpec | None) -> str:
    title = node.get("title")
    if isinstance(title, str) and title:
        return title
    return spec.display_name if spec is not None and spec.display_name else str(node["type"])


def _inputs(scope: Scope, node_id: str, node: Json, spec: NodeSpec | None, problems: list[Problem]) -> dict[str, Any]:
    values = scope.overrides.get((node_id, ""))
    saved = node if values is None else {**node, "widgets_values": values}
    named = named_values(saved, spec)
    if named is None and spec is not None:
        problems.append(
            problem(
                "invalid_workflow",
                node_id=scope.prefix + node_id,
                class_type=node["type"],
                details="the values of its widgets cannot be told apart",
            )
        )
    inputs = {name: wrap(value) for name, value in (named or {}).items() if value is not None}
    for name in dict.fromkeys([*listed_widgets(node), *inputs]):
        if (node_id, name) in scope.overrides:
            inputs[name] = wrap(scope.overrides[node_id, name])
    for slot, entry in enumerate(objects(node.get("inputs"))):
        origin = scope.origin(node_id, slot, entry)
        source = _follow(scope, origin.node, origin.slot) if origin is not None else None
        widget = entry.get("widget")
        called = widget.get("name") if isinstance(widget, Mapping) else entry.get("name")
        if source is not None and isinstance(called, str):
            inputs[called] = wrap(source.value) if isinstance(source, _Constant) else source
    return inputs


def _follow(scope: Scope, node_id: str, slot: int) -> _Source:
    """Find what really makes the value at output `slot` of a node, through everything that only passes it on."""
    seen: set[tuple[str, str, int]] = set()
    while (scope.prefix, node_id, slot) not in seen:
        seen.add((scope.prefix, node_id, slot))
        found = _step(scope, node_id, slot)
        if not isinstance(found, _Place):
            return found
        scope, (node_id, slot) = found
    return None


class _Place(NamedTuple):
    """An output in some scope, at which the search goes on."""

    scope: Scope
    end: End


def _step(scope: Scope, node_id: str, slot: int) -> _Source | _Place:
    """One step of `_follow`: the source itself, or the next place to look at."""
    if node_id == INPUT_SIDE and scope.parent is not None:
        return _outside(scope, scope.parent, slot)
    node = scope.nodes.get(node_id)
    if node is None or node.get("mode") == MUTED:
        return None
    if node.get("mode") == BYPASSED:
        return _before(scope, node_id, _bypass(node, slot))
    if node_id in scope.children:
        inner = scope.children[node_id]
        return _Place(inner, inner.results[slot]) if slot in inner.results else None
    if node["type"] == PRIMITIVE:
        value = first_value(node)
        return _Constant(value) if value is not None else None
    if node["type"] == GET:
        sender = _sender(scope, node)
        return _before(*sender, 0) if sender is not None else None
    if node["type"] in REROUTES or node["type"] == SET:
        return _before(scope, node_id, 0)
    return [scope.prefix + node_id, slot]


def _before(scope: Scope, node_id: str, slot: int | None) -> _Place | None:
    """What is linked to input `slot` of a node."""
    entries = objects(scope.nodes[node_id].get("inputs"))
    if slot is None or slot >= len(entries):
        return None
    end = scope.origin(node_id, slot, entries[slot])
    return _Place(scope, end) if end is not None else None


def _outside(inner: Scope, outer: Scope, slot: int) -> _Source | _Place:
    """What is linked to input `slot` of the instance that `inner` is the inside of, or the value of its widget."""
    entry = instance_input(inner, slot)
    end = outer.origin(str(inner.instance["id"]), *entry) if entry is not None else None
    if end is not None:
        return _Place(outer, end)
    value = instance_value(inner, slot)
    return _Constant(value) if value is not None else None


def _bypass(node: Json, slot: int) -> int | None:
    """The input that a bypassed node passes on as output `slot`: the one beside it if of the same type, else the first such."""
    outputs, inputs = objects(node.get("outputs")), objects(node.get("inputs"))
    if slot >= len(outputs):
        return None
    wanted = outputs[slot].get("type")
    order = (slot, *range(len(inputs)))
    return next((at for at in order if at < len(inputs) and inputs[at].get("type") == wanted), None)


def _sender(scope: Scope, getter: Json) -> tuple[Scope, str] | None:
    """The SetNode with the name that a GetNode asks for, in its own scope or one around it."""
    name = str(first_value(getter))
    around: Scope | None = scope
    while around is not None:
        if name in around.senders:
            return around, around.senders[name]
        around = around.parent
    return None
