"""What functions of packs return, in the one form that the executor reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.authoring.definition import ExecutionBlocker, NodeResult
from engine.graph.prompt import DISPLAY, Link, Node
from engine.graph.schema import NodeSpec
from engine.plugins.compat.values import from_pack


def read_v1(spec: NodeSpec, raw: Any) -> NodeResult:
    """Read a tuple, a list, None, a blocker, or a dict with `result`, `ui` and `expand`. Raises TypeError for others."""
    if type(raw) is tuple:
        return NodeResult(_values(spec, raw))
    if isinstance(raw, Mapping) and (raw.keys() & {"result", "ui", "expand"} or not raw):
        return read_parts(spec, raw.get("result"), raw.get("ui"), raw.get("expand"))
    return NodeResult(_tuple(spec, raw))


def read_parts(spec: NodeSpec, result: Any, ui: Any, expand: Any) -> NodeResult:
    """Read the three parts of a result, each of which may be None."""
    values = _tuple(spec, result)
    shown = {str(name): _items(value) for name, value in ui.items()} if isinstance(ui, Mapping) else None
    if expand is None:
        return NodeResult(values, shown)
    return NodeResult(tuple(_linked(value) for value in values), shown, expansion(spec, expand))


def expansion(spec: NodeSpec, graph: Any) -> dict[str, Node]:
    """The nodes of an `expand`. Raises TypeError for what is no graph."""
    if not isinstance(graph, Mapping):
        raise TypeError(f"{spec.name} returned {type(graph).__name__} as `expand`, which must be {{id: node}}.")
    found = {}
    for node_id, node in graph.items():
        if not isinstance(node, Mapping) or not isinstance(node.get("class_type"), str):
            raise TypeError(f"{spec.name}: node {node_id!r} of its `expand` has no class_type.")
        inputs = {str(name): _linked(value) for name, value in (node.get("inputs") or {}).items()}
        shown_on = node.get("override_display_id")
        meta = {DISPLAY: str(shown_on)} if shown_on is not None else None
        found[str(node_id)] = Node(node["class_type"], inputs, meta)
    return found


def _tuple(spec: NodeSpec, raw: Any) -> tuple[Any, ...]:
    if raw is None or not spec.slots:  # some that have no outputs return a value all the same
        return ()
    if isinstance(raw, ExecutionBlocker):
        return (raw,) * spec.slots
    if isinstance(raw, tuple | list):
        return _values(spec, raw)
    raise TypeError(
        f"{spec.name} returned {type(raw).__name__} where a tuple of {len(spec.outputs)} output(s) or a dict with "
        f"`result` and `ui` is expected. A single value is returned as `(value,)`."
    )


def _values(spec: NodeSpec, raw: tuple[Any, ...] | list[Any]) -> tuple[Any, ...]:
    values = tuple(map(from_pack, raw))
    for one in spec.outputs:
        if one.is_list:
            return _with_lists(spec, values)
    return values


def _with_lists(spec: NodeSpec, values: tuple[Any, ...]) -> tuple[Any, ...]:
    lists = {slot for slot, one in enumerate(spec.outputs) if one.is_list}
    return tuple(_items(value) if slot in lists else value for slot, value in enumerate(values))


def _items(value: Any) -> Any:
    """The items where a list is expected: of a text its characters, of a batch its rows, as `for` gives them in the field."""
    if isinstance(value, list | tuple | ExecutionBlocker):
        return value
    try:
        return list(value)
    except TypeError:
        return [value]


def _linked(value: Any) -> Any:
    """A link if `value` has the form of one (`[id, slot]`), else the value in our form."""
    if type(value) is list and len(value) == 2:
        node, slot = value
        if isinstance(node, str) and isinstance(slot, int | float) and not isinstance(slot, bool):
            return Link(str(node), int(slot))
    return from_pack(value)
