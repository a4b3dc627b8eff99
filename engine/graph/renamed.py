"""Names that earlier versions of Safelight gave to nodes and inputs, where the field has other ones of that name."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Final

CONFIGURED_LOADER = "CheckpointLoader"
PLAIN_LOADER = "CheckpointLoaderSimple"


FORMAT: Final = "StringFormat"
FORMAT_INPUTS: Final = {"template": "f_string", **{name: f"values.{name}" for name in "abcd"}}
"""Of StringFormat: what its inputs were called → the field's names for them."""


def current_type(class_type: str, inputs: Container[str]) -> str:
    """The type that a node saved as `class_type` with these `inputs` has today.

    The field's CheckpointLoader must have a config, which the node once so called here never had: no node of the field
    is taken for another.
    """
    return PLAIN_LOADER if class_type == CONFIGURED_LOADER and "config_name" not in inputs else class_type


def renamed(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt as read from a file, with the names of today; entries that are no nodes stay as they are."""
    result = dict(prompt)
    for node_id, entry in prompt.items():
        inputs = entry.get("inputs") if isinstance(entry, dict) else None
        if isinstance(inputs, dict) and entry.get("class_type") == FORMAT and "template" in inputs:
            result[node_id] = {**entry, "inputs": {FORMAT_INPUTS.get(name, name): one for name, one in inputs.items()}}
        if isinstance(entry, dict) and entry.get("class_type") == CONFIGURED_LOADER:
            found = current_type(CONFIGURED_LOADER, inputs if isinstance(inputs, dict) else ())
            result[node_id] = {**entry, "class_type": found}
    return result


def renamed_nodes(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A saved workflow, or the inside of a subgraph, with the names of today: a loader saved with one value had no config."""
    nodes = content.get("nodes")
    if isinstance(nodes, list) and any(_is_plain(node) or _is_former_format(node) for node in nodes):
        content = {**content, "nodes": [_current(node) for node in nodes]}
    held = content.get("definitions")
    inner = held.get("subgraphs") if isinstance(held, Mapping) else None
    if isinstance(held, Mapping) and isinstance(inner, list):
        inside = [renamed_nodes(one) if isinstance(one, Mapping) else one for one in inner]
        if any(new is not old for new, old in zip(inside, inner)):
            content = {**content, "definitions": {**held, "subgraphs": inside}}
    return content


def _current(node: Any) -> Any:
    if _is_plain(node):
        return {**node, "type": PLAIN_LOADER}
    if _is_former_format(node):
        return {**node, "inputs": [_current_input(one) for one in node["inputs"]]}
    return node


def _current_input(entry: Any) -> Any:
    if not isinstance(entry, Mapping) or entry.get("name") not in FORMAT_INPUTS:
        return entry
    name = FORMAT_INPUTS[entry["name"]]
    return {**entry, "name": name, **({"widget": {"name": name}} if "widget" in entry else {})}


def _is_former_format(node: Any) -> bool:
    inputs = node.get("inputs") if isinstance(node, Mapping) and node.get("type") == FORMAT else None
    return isinstance(inputs, list) and any(
        isinstance(one, Mapping) and one.get("name") == "template" for one in inputs
    )


def _is_plain(node: Any) -> bool:
    if not isinstance(node, Mapping) or node.get("type") != CONFIGURED_LOADER:
        return False
    values = node.get("widgets_values")
    return isinstance(values, list) and len(values) == 1
