"""The smallest parts of a saved workflow, read with suspicion: any file may hold anything anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeGuard

Json = Mapping[str, Any]

INPUT_SIDE: Final = "-10"
"""Id that links inside a subgraph use for the inputs of its instance."""
OUTPUT_SIDE: Final = "-20"
"""Id that links inside a subgraph use for the outputs of its instance."""

SET: Final = "SetNode"
MUTED, BYPASSED = 2, 4


class End(NamedTuple):
    """Where a link comes from: output `slot` of node `node` of the same scope (or the `INPUT_SIDE`)."""

    node: str
    slot: int


def read_link(link: Any) -> tuple[Any, End, str, int] | None:
    """(id, origin, target node, target slot) of a saved link in either form."""
    if isinstance(link, Mapping):
        parts = [link.get(key) for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
    elif isinstance(link, list) and len(link) >= 5:
        parts = link[:5]
    else:
        return None
    link_id, origin, slot, target, target_slot = parts
    if not (is_id(link_id) and is_id(origin) and is_id(target) and is_slot(slot) and is_slot(target_slot)):
        return None
    return link_id, End(str(origin), slot), str(target), target_slot


def first_value(node: Json) -> Any:
    """The first widget value of a saved node, or None."""
    values = node.get("widgets_values")
    return values[0] if isinstance(values, list) and values else None


def objects(value: Any) -> list[Json]:
    """The items of a list that are objects; none if it is no list."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def is_id(value: Any) -> bool:
    """Whether a value can be the id of a node or link."""
    return type(value) in (int, str)


def is_slot(value: Any) -> TypeGuard[int]:
    """Whether a value can be the number of an input or output."""
    return type(value) is int and value >= 0


def slot_number(value: Any) -> int | None:
    """The number of an input or output, which some packs write as text."""
    if is_slot(value):
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() else None


def is_scalar(value: Any) -> bool:
    """Whether a value is text or a number, and so can be looked up."""
    return isinstance(value, str | int | float)
