"""The prompt form of a graph: `{id: {class_type, inputs}}` with links `[id, slot]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, Final, NamedTuple, TypeAlias

NodeId: TypeAlias = str


class Link(NamedTuple):
    """A reference to output `slot` (from 0) of node `node`."""

    node: NodeId
    slot: int


DISPLAY: Final = "display"
"""Key in `Node.meta` of a node in an expansion: the id of the node to show it on."""


ALWAYS: Final = "always"
"""Key in `Node.meta` of a node in an expansion that runs in every run anew, whatever is known of it."""


class Node:
    """One node of a prompt: its type as written, its inputs (constants, or `Link`), and what else the file said."""

    __slots__ = ("class_type", "inputs", "meta")

    def __init__(self, class_type: str, inputs: dict[str, Any], meta: Mapping[str, Any] | None = None) -> None:
        self.class_type = class_type
        self.inputs = inputs
        self.meta = meta or {}

    def links(self) -> Iterator[tuple[str, Link]]:
        """The linked inputs as (input name, link)."""
        for name, value in self.inputs.items():
            if type(value) is Link:
                yield name, value

    def __repr__(self) -> str:
        return f"Node({self.class_type!r}, {self.inputs!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and (self.class_type, self.inputs) == (other.class_type, other.inputs)

    __hash__ = None  # type: ignore[assignment]  # its inputs may be changed


Prompt: TypeAlias = dict[NodeId, Node]


def is_link(value: Any) -> bool:
    """Whether a JSON value is shaped like a link: `[id, slot]` a string (or whole-number) id and a whole slot."""
    return (
        type(value) is list
        and len(value) == 2
        and type(value[1]) is int
        and (type(value[0]) is str or type(value[0]) is int)
    )


def node_from_json(entry: Mapping[str, Any]) -> Node:
    """Read one entry of the prompt form; links become `Link`. Assumes the right shape."""
    inputs = {
        name: value if type(value) in _SCALARS else _input_from_json(value)
        for name, value in entry.get("inputs", _NO_INPUTS).items()
    }
    meta = entry.get("_meta")
    return Node(entry["class_type"], inputs, meta if meta is not None and isinstance(meta, Mapping) else None)


_SCALARS: Final = frozenset({str, int, float, bool, NoneType})
_NO_INPUTS: Final[Mapping[str, Any]] = {}


def _input_from_json(value: Any) -> Any:
    if is_link(value):
        return Link(str(value[0]), value[1])
    return unwrap(value)


def unwrap(value: Any) -> Any:
    """A constant without the `{"__value__": …}` with which editors keep a literal list from reading as a link."""
    if type(value) is dict and value.keys() == {"__value__"}:
        return value["__value__"]
    return value


def wrap(value: Any) -> Any:
    """A constant as it stands in a prompt, where a bare list could read as a link."""
    return {"__value__": value} if isinstance(value, list) else value


def prompt_from_json(data: Mapping[str, Any]) -> Prompt:
    """Read the prompt form. Entries that are no nodes are left out: `validate.check` is what reports them."""
    return {node_id: node_from_json(entry) for node_id, entry in data.items() if _is_node(entry)}


def _is_node(entry: Any) -> bool:
    if type(entry) is dict and type(entry.get("class_type")) is str and type(entry.get("inputs")) is dict:
        return True
    return (
        isinstance(entry, Mapping)
        and isinstance(entry.get("class_type"), str)
        and isinstance(entry.get("inputs", _NO_INPUTS), Mapping)
    )


def prompt_to_json(prompt: Prompt) -> dict[str, Any]:
    """The JSON form of `prompt`, ready to be dumped."""
    result: dict[str, Any] = {}
    for node_id, node in prompt.items():
        entry: dict[str, Any] = {
            "class_type": node.class_type,
            "inputs": {name: _input_to_json(value) for name, value in node.inputs.items()},
        }
        if node.meta:
            entry["_meta"] = dict(node.meta)
        result[node_id] = entry
    return result


def _input_to_json(value: Any) -> Any:
    return list(value) if type(value) is Link else wrap(value)


def titles_of(prompt: Mapping[str, Any]) -> dict[NodeId, str]:
    """What people call each node of a prompt in JSON form: its title, else its type, else its id."""
    return {
        node: str((entry.get("_meta") or {}).get("title") or entry.get("class_type", node))
        for node, entry in prompt.items()
    }
