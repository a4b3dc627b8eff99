"""The smallest parts of a saved workflow, read with suspicion: any file may hold anything anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

Json = Mapping[str, Any]

INPUT_SIDE: Final = "-10"
"""Id that links inside a subgraph use for the inputs of its instance."""
OUTPUT_SIDE: Final = "-20"
"""Id that links inside a subgraph use for the outputs of its instance."""

SET: Final = "SetNode"
PRIMITIVE: Final = "PrimitiveNode"
MUTED, BYPASSED = 2, 4


class End(NamedTuple):
    """Where a link comes from: output `slot` of node `node` of the same scope (or the `INPUT_SIDE`)."""

    node: str
    slot: int


SavedLink: TypeAlias = tuple[int | str, End, str, int]
"""(id, origin, target node, target slot)."""


def read_link(link: Any) -> SavedLink | None:
    """A saved link in either form, or None where it lacks an end."""
    if isinstance(link, list) and len(link) >= 5:
        key, origin, slot, target, target_slot = link[:5]
    elif isinstance(link, dict):
        key, origin, slot, target, target_slot = map(link.get, _PARTS)
    else:
        return None
    if type(key) is type(slot) is type(target_slot) is int and slot >= 0 <= target_slot:
        if type(origin) is type(target) is int:
            return key, End(str(origin), slot), str(target), target_slot
    else:
        key, slot, target_slot = link_id(key), slot_number(slot), slot_number(target_slot)
        if key is None or slot is None or target_slot is None:
            return None
    from_node, to_node = node_id(origin), node_id(target)
    if from_node is None or to_node is None:
        return None
    return key, End(from_node, slot), to_node, target_slot


_PARTS: Final = ("id", "origin_id", "origin_slot", "target_id", "target_slot")


def listed_links(links: Any) -> Iterable[Any]:
    """The links of a level: a list, or (as some programs write them) a dict by id."""
    if isinstance(links, list):
        return links
    return links.values() if isinstance(links, Mapping) else ()


def first_value(node: Json) -> Any:
    """The first widget value of a saved node, or None."""
    values = node.get("widgets_values")
    return values[0] if isinstance(values, list) and values else None


def objects(value: Any) -> list[Json]:
    """The items of a list that are objects; none if it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def node_id(value: Any) -> str | None:
    """The id of a node, as prompts have it; None if `value` can be none. Some programs write 1.0 for 1."""
    if type(value) is int:
        return str(value)
    if type(value) is str:
        return value
    return str(int(value)) if type(value) is float and value.is_integer() else None


def link_id(value: Any) -> int | str | None:
    """The id of a link; None if `value` can be none."""
    if type(value) is int:
        return value
    if type(value) is str:
        return int(value) if value.isdecimal() and len(value) < _MOST_DIGITS else value
    return int(value) if type(value) is float and value.is_integer() else None


def slot_number(value: Any) -> int | None:
    """The number of an input or output, which some programs write as text or as a float; None if `value` is none."""
    if type(value) is int:
        return value if value >= 0 else None
    if type(value) is float:
        return int(value) if value.is_integer() and value >= 0 else None
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < _MOST_DIGITS else None


_MOST_DIGITS: Final = 19


def is_scalar(value: Any) -> bool:
    """Whether a value is text or a number, and so can be looked up."""
    return isinstance(value, str | int | float)


def widget_name(entry: Json) -> str | None:
    """The name of the widget that a saved input stands for, if it says so."""
    widget = entry.get("widget")
    name = widget.get("name") if isinstance(widget, dict) else None
    return name if isinstance(name, str) else None
