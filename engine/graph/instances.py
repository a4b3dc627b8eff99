"""The values that an instance of a subgraph holds for what is inside it.

`widgets_values` has one value for each input of the *definition* that leads to a widget, in the definition's order, whatever
the instance lists. `properties.proxyWidgets` names the widgets that an older front end showed on it, by place: these values
come after, and may belong to widgets of nodes inside that no input leads to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.graph.levels import Level
from engine.graph.saved import INPUT_SIDE, Json, node_id, objects

OWN = "-1"
"""Id that `proxyWidgets` uses for the instance's own inputs."""


class Held(NamedTuple):
    """The values of an instance: by input of the definition, and by (inner node, widget)."""

    values: dict[int, Any]
    inner: dict[tuple[str, str], Any]


def held_values(instance: Json, level: Level, promoted: Sequence[int]) -> Held:
    """What an instance holds. `promoted` are the inputs of its definition that lead to a widget; null is no value."""
    if level.is_group:
        return Held({}, _group_values(instance, level))
    found = Held({}, {})
    values = instance.get("widgets_values")
    if not isinstance(values, list):
        named = instance.get("widgets_values_named")
        if isinstance(named, Mapping):
            for slot in promoted:
                _take(found, slot, named.get(level.input_names[slot]))
        return found
    for slot, value in zip(promoted, values, strict=False):
        _take(found, slot, value)
    for place, value in zip(proxies(instance), values, strict=False):
        if place is None:
            continue
        fed = proxied_input(place, level, promoted)
        if fed is not None:
            _take(found, fed, value)
        elif place[0] != OWN and value is not None:
            found.inner[place] = value
    return found


def _take(found: Held, slot: int, value: Any) -> None:
    if value is not None:
        found.values[slot] = value


def proxies(instance: Json) -> list[tuple[str, str] | None]:
    """The (inner node, widget) pairs that an instance shows, in the order of its values; None for what is no pair."""
    properties = instance.get("properties")
    listed = properties.get("proxyWidgets") if isinstance(properties, Mapping) else None
    return [_pair(one) for one in listed] if isinstance(listed, list) else []


def _pair(one: Any) -> tuple[str, str] | None:
    key = node_id(one[0]) if isinstance(one, list) and len(one) >= 2 else None
    return (key, one[1]) if key is not None and isinstance(one[1], str) else None


def proxied_input(place: tuple[str, str], level: Level, promoted: Sequence[int]) -> int | None:
    """The input of the definition that a proxy means: its own of that name, or the one that feeds the widget; None if none."""
    node, widget = place
    if node == OWN:
        return next((slot for slot in promoted if level.input_names[slot] == widget), None)
    saved = level.nodes.get(node)
    for at, entry in enumerate(objects(saved.get("inputs")) if saved is not None else ()):
        if entry.get("name") == widget:
            end = level.origin(node, at, entry)
            return end.slot if end is not None and end.node == INPUT_SIDE and end.slot in promoted else None
    return None


def _group_values(instance: Json, level: Level) -> dict[tuple[str, str], Any]:
    """A group node's own list of values, dealt out to the nodes inside: each takes as many as it had."""
    values = instance.get("widgets_values")
    if not isinstance(values, list):
        return {}
    found: dict[tuple[str, str], Any] = {}
    at = 0
    for key, node in level.nodes.items():
        inner = node.get("widgets_values")
        count = len(inner) if isinstance(inner, list) else 0
        found[key, ""] = values[at : at + count]
        at += count
    return found if at == len(values) else {}
