"""Changing a saved workflow in place, so that a picture carries the workflow that really made it."""

from __future__ import annotations

from typing import Any

from engine.graph.schema import Catalogue
from engine.graph.widgets import value_index

Json = dict[str, Any]


def write_value(workflow: Json, node_id: str, input_name: str, value: Any, catalogue: Catalogue) -> bool:
    """Set the widget behind input `input_name` of a node, which has the id that it has in the prompt form.

    `instance:inner` reaches into the definition of a subgraph. Where a PrimitiveNode feeds the widget, its value is set.
    Returns whether a place was found; a workflow of any shape is left whole if not.
    """
    level: Any = workflow
    *instances, inner_id = node_id.split(":")
    for instance_id in instances:
        instance = _node(level, instance_id)
        level = _definition(workflow, instance.get("type")) if instance is not None else None
    node = _node(level, inner_id)
    if node is None:
        return False
    feeder = _primitive(level, node, input_name)
    if feeder is not None:
        feeder["widgets_values"] = [value, *feeder.get("widgets_values", [])[1:]]
        return True
    values = node.get("widgets_values")
    if isinstance(values, dict):
        values[input_name] = value
        return True
    at = value_index(node, catalogue.spec(str(node.get("type"))), input_name)
    if at is None or not isinstance(values, list):
        return False
    values[at] = value
    return True


def _node(level: Any, node_id: str) -> Json | None:
    nodes = level.get("nodes") if isinstance(level, dict) else None
    listed = [one for one in nodes if isinstance(one, dict)] if isinstance(nodes, list) else []
    return next((one for one in listed if str(one.get("id")) == node_id), None)


def _definition(workflow: Json, kind: Any) -> Json | None:
    held = workflow.get("definitions")
    listed = held.get("subgraphs") if isinstance(held, dict) else None
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return next((one for one in found if one.get("id") == kind), None)


def _primitive(level: Json, node: Json, input_name: str) -> Json | None:
    """The PrimitiveNode that is linked to an input of `node`, if one is."""
    inputs, links = node.get("inputs"), level.get("links")
    for entry in inputs if isinstance(inputs, list) else []:
        if isinstance(entry, dict) and entry.get("name") == input_name and entry.get("link") is not None:
            for link in links if isinstance(links, list) else []:
                if _origin(link, entry["link"]) is not None:
                    found = _node(level, str(_origin(link, entry["link"])))
                    return found if found is not None and found.get("type") == "PrimitiveNode" else None
    return None


def _origin(link: Any, link_id: Any) -> Any:
    """The node that a saved link leaves from, if its id is `link_id`."""
    if isinstance(link, dict):
        return link.get("origin_id") if link.get("id") == link_id else None
    return link[1] if isinstance(link, list) and len(link) > 1 and link[0] == link_id else None
