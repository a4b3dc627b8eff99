"""Widget values of saved nodes: from a bare list to names, and back.

Editors save the values of a node's widgets as a list in the order of the class's inputs. Two kinds of widgets are followed
by a value of their own that is no input: a seed by what happens to it after a run, an upload by its kind of file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.graph.dynamic import brought, grown
from engine.graph.schema import InputSpec, NodeSpec

_AFTER_GENERATE: Final = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
_UPLOAD_KINDS: Final = frozenset({"image", "video", "audio", "file"})
_SEED_NAMES: Final = frozenset({"seed", "noise_seed"})


def widget_inputs(spec: NodeSpec) -> list[InputSpec]:
    """The inputs of `spec` that are widgets, in the order in which their values are saved: required ones first."""
    widgets = [one for one in spec.inputs if one.is_widget]
    return sorted(widgets, key=lambda one: not one.required)


def named_values(node: Mapping[str, Any], spec: NodeSpec | None) -> dict[str, Any] | None:
    """The widget values of a saved node by input name; None if there are values whose names cannot be known.

    The names come from the node itself where it lists all of its widgets, else from the class.
    """
    values = node.get("widgets_values")
    if isinstance(values, Mapping):
        return {name: value for name, value in values.items() if isinstance(name, str)}
    if not isinstance(values, list) or not values:
        return {}
    own_names = listed_widgets(node)
    named = _by_name(own_names, values)
    if named is not None:
        return named
    return _by_spec(_shown(spec, node), values) if spec is not None else None


def listed_widgets(node: Mapping[str, Any]) -> list[str]:
    """The names of the widgets that stand among the `inputs` of a saved node."""
    inputs = node.get("inputs")
    widgets = [one.get("widget") for one in inputs if isinstance(one, Mapping)] if isinstance(inputs, list) else []
    return [one["name"] for one in widgets if isinstance(one, Mapping) and isinstance(one.get("name"), str)]


def _by_name(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any] | None:
    """`values` under `names`, or None if they do not come out even (then `names` are only some of the widgets)."""
    named: dict[str, Any] = {}
    at = 0
    for name in names:
        if at >= len(values):
            return None
        named[name] = values[at]
        spare = len(values) - len(names) + len(named) - at - 1 > 0
        at += 2 if spare and _last_part(name) in _SEED_NAMES and _is_after_generate(values, at + 1, spare) else 1
    if at + 1 == len(values) and _is_upload(values, at):
        at += 1
    return named if at == len(values) and names else None


def _shown(spec: NodeSpec, node: Mapping[str, Any]) -> list[InputSpec]:
    """The widgets of a saved node: those that have grown go before those that its class declares."""
    inputs = node.get("inputs")
    listed = [one for one in inputs if isinstance(one, Mapping)] if isinstance(inputs, list) else []
    found = [shown for one in spec.inputs for shown in grown(one, listed) if shown.is_widget]
    return [*found, *widget_inputs(spec)]


def _by_spec(widgets: Sequence[InputSpec], values: Sequence[Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    at = 0
    waiting = deque(widgets)
    while waiting and at < len(values):
        one = waiting.popleft()
        named[one.name] = values[at]
        waiting.extendleft(reversed([more for more in brought(one, _plain(values, at)) if more.is_widget]))
        at += 1
        spare = len(values) - at > len(waiting)
        if (_has_after_generate(one) and _is_after_generate(values, at, spare)) or (
            spare and _has_upload(one) and _is_upload(values, at)
        ):
            at += 1
    return named


def value_list(spec: NodeSpec, values: Mapping[str, Any]) -> list[Any]:
    """The values of a node's widgets as editors save them; a widget without a value gets its default or first choice."""
    result: list[Any] = []
    for one in widget_inputs(spec):
        result.append(values.get(one.name, _first_value(one)))
        if _has_after_generate(one):
            result.append("fixed")
        if _has_upload(one):
            result.append("image")
    return result


def value_index(node: Mapping[str, Any], spec: NodeSpec | None, name: str) -> int | None:
    """Where in the list `widgets_values` of a saved node the value of its widget `name` stands; None if it cannot be known."""
    values = node.get("widgets_values")
    if not isinstance(values, list):
        return None
    named = named_values({**node, "widgets_values": [_Place(value, at) for at, value in enumerate(values)]}, spec)
    place = (named or {}).get(name)
    return place.at if isinstance(place, _Place) else None


class _Place:
    """A value that knows where it stands in its list, and otherwise passes for itself."""

    def __init__(self, value: Any, at: int) -> None:
        self.value = value
        self.at = at


def _last_part(name: str) -> str:
    """The name of an input within its group."""
    return name.rpartition(".")[2]


def _plain(values: Sequence[Any], at: int) -> Any:
    value = values[at] if at < len(values) else None
    return value.value if isinstance(value, _Place) else value


def _is_after_generate(values: Sequence[Any], at: int, spare: bool) -> bool:
    """Whether this value says what happens to a seed. Old files have a boolean there: told by there being one to `spare`."""
    value = _plain(values, at)
    return (isinstance(value, str) and value in _AFTER_GENERATE) or (spare and isinstance(value, bool))


def _is_upload(values: Sequence[Any], at: int) -> bool:
    value = _plain(values, at)
    return isinstance(value, str) and value in _UPLOAD_KINDS


def _has_after_generate(one: InputSpec) -> bool:
    if one.type != "INT" and "control_after_generate" not in one.options:
        return False
    return one.seed or _last_part(one.name) in _SEED_NAMES or bool(one.options.get("control_after_generate"))


def _has_upload(one: InputSpec) -> bool:
    return any(key.endswith("_upload") and value is True for key, value in one.options.items())


def _first_value(one: InputSpec) -> Any:
    if one.default is not None or not one.required:
        return one.default
    if isinstance(one.choices, tuple) and one.choices:
        return one.choices[0]
    return {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}.get(one.type)
