"""A prompt drawn as the saved workflow that it came from: what people arranged stays, and what was changed is changed there."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from engine.graph.formats import load
from engine.graph.layout import prompt_to_workflow
from engine.graph.prompt import is_link
from engine.graph.saved import node_id as saved_id
from engine.graph.saved import objects
from engine.graph.schema import Catalogue
from engine.graph.workflow import NOTES
from engine.graph.workflow_edit import write_value

Json = dict[str, Any]

_KEPT: Final = ("pos", "size", "color", "bgcolor", "flags", "shape")
"""What a node that is laid out anew has from the one of its id and type."""


def redrawn(canvas: Json | None, prompt: Mapping[str, Any], catalogue: Catalogue) -> Json:
    """`prompt` (JSON) as a saved workflow, after `canvas`, which stays as it is.

    Where it runs as `prompt`, it is the canvas, exactly. Where only constants or titles differ, these are changed in it, and
    all else stays: subgraphs, what is muted, links through reroutes. Else the graph is laid out anew; nodes that are still
    there keep their places and colours, and the notes, groups and `extra` of the canvas stay.
    """
    if canvas is None:
        return prompt_to_workflow(prompt, catalogue)
    loaded = load(canvas, catalogue)
    if loaded.prompt == prompt:
        return canvas
    return _changed(canvas, loaded.prompt, prompt, catalogue) or _laid_out(canvas, prompt, catalogue)


def _changed(canvas: Json, before: Json, after: Mapping[str, Any], catalogue: Catalogue) -> Json | None:
    """The canvas with other constants and titles; None where more than those differ, or it cannot say them."""
    if not _same_shape(before, after):
        return None
    result = copy.deepcopy(canvas)
    tops: dict[Any, Json] = {
        saved_id(node.get("id")): node for node in result.get("nodes") or () if isinstance(node, dict)
    }
    for node_id, entry in after.items():
        for name, value in entry["inputs"].items():
            if value != before[node_id]["inputs"].get(name):
                write_value(result, node_id, name, value, catalogue)
        title = (entry.get("_meta") or {}).get("title")
        if title and title != before[node_id]["_meta"]["title"] and node_id in tops:
            tops[node_id]["title"] = title
    again = load(result, catalogue).prompt
    return result if _inputs(again) == _inputs(after) else None


def _inputs(prompt: Mapping[str, Any]) -> dict[str, Any]:
    return {node_id: entry["inputs"] for node_id, entry in prompt.items()}


def _same_shape(before: Json, after: Mapping[str, Any]) -> bool:
    """Whether two prompts have the same nodes, inputs and links."""
    if before.keys() != after.keys():
        return False
    return all(_is_entry(entry) and _shape(entry) == _shape(before[node_id]) for node_id, entry in after.items())


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict) and isinstance(entry.get("class_type"), str) and isinstance(entry.get("inputs"), dict)
    )


def _shape(entry: Json) -> tuple[str, dict[str, Any]]:
    return entry["class_type"], {name: value if is_link(value) else None for name, value in entry["inputs"].items()}


def _laid_out(canvas: Json, prompt: Mapping[str, Any], catalogue: Catalogue) -> Json:
    result = prompt_to_workflow(prompt, catalogue)
    there = {(str(node.get("id")), node.get("type")): node for node in objects(canvas.get("nodes"))}
    for node in result["nodes"]:
        before = there.get((str(node["id"]), node["type"]), {})
        node.update((key, copy.deepcopy(before[key])) for key in _KEPT if key in before)
    for note in objects(canvas.get("nodes")):
        if note.get("type") in NOTES:
            result["last_node_id"] += 1
            result["nodes"].append({**copy.deepcopy(note), "id": result["last_node_id"]})
    for key in ("groups", "extra", "config"):
        if key in canvas:
            result[key] = copy.deepcopy(canvas[key])
    return result
