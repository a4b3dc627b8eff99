"""Definitions of subgraphs in a saved workflow, and the values that an instance holds for what is inside.

Older files hold *group nodes* (`workflow>Name`, defined in `extra.groupNodes`); they are read as subgraphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.graph.saved import INPUT_SIDE, OUTPUT_SIDE, Json, is_scalar, is_slot, objects

_GROUP_PREFIXES = ("workflow>", "workflow/")


def definitions(workflow: Json) -> dict[str, Json]:
    """Type of an instance → the definition of its inside."""
    found: dict[str, Json] = {}
    held = workflow.get("definitions")
    waiting = objects(held.get("subgraphs")) if isinstance(held, Mapping) else []
    while waiting:
        definition = waiting.pop()
        if isinstance(definition.get("id"), str):
            found[definition["id"]] = definition
        nested = definition.get("definitions")
        if isinstance(nested, Mapping):
            waiting.extend(objects(nested.get("subgraphs")))
    extra = workflow.get("extra")
    groups = extra.get("groupNodes") if isinstance(extra, Mapping) else None
    for name, group in groups.items() if isinstance(groups, Mapping) else ():
        if isinstance(group, Mapping):
            definition = _group_definition(str(name), group)
            found.update({prefix + str(name): definition for prefix in _GROUP_PREFIXES})
    return found


def _group_definition(name: str, group: Json) -> Json:
    """A group node as a subgraph: its open inputs and outputs, node by node, are those of the instance."""
    nodes = [
        {**node, "id": index, "inputs": [dict(one) for one in objects(node.get("inputs"))]}
        for index, node in enumerate(objects(group.get("nodes")))
    ]
    listed = group.get("links")
    drawn = [link for link in listed if isinstance(link, list) and len(link) >= 4] if isinstance(listed, list) else []
    links: list[Json] = []
    shown_outputs = {(one[0].get("index"), one[1]) for one in _externals(group)}

    def add(origin: Any, origin_slot: Any, target: Any, target_slot: Any) -> int:
        ends = {"origin_id": origin, "origin_slot": origin_slot, "target_id": target, "target_slot": target_slot}
        links.append({"id": len(links), **ends})
        return len(links) - 1

    for origin, origin_slot, target, target_slot in (link[:4] for link in drawn):
        if all(is_slot(part) for part in (origin, origin_slot, target, target_slot)) and target < len(nodes):
            entries = nodes[target]["inputs"]
            if target_slot < len(entries):
                entries[target_slot]["link"] = add(origin, origin_slot, target, target_slot)
    inputs: list[Json] = []
    outputs = 0
    linked_outputs = {(link["origin_id"], link["origin_slot"]) for link in links}
    for index, node in enumerate(nodes):
        for slot, entry in enumerate(node["inputs"]):
            if entry.get("link") is None and "widget" not in entry:
                entry["link"] = add(int(INPUT_SIDE), len(inputs), index, slot)
                inputs.append({"name": entry.get("name", "")})
        for slot in range(len(objects(node.get("outputs")))):
            if (index, slot) not in linked_outputs or (index, slot) in shown_outputs:
                add(index, slot, int(OUTPUT_SIDE), outputs)
                outputs += 1
    return {"id": name, "name": name, "nodes": nodes, "links": links, "inputs": inputs, "group": True}


def _externals(group: Json) -> list[tuple[Json, Any]]:
    listed = group.get("external")
    return [
        (one[0], one[1])
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, list) and len(one) >= 2 and isinstance(one[0], Mapping) and is_scalar(one[1])
    ]


def group_values(instance: Json, definition: Json) -> dict[tuple[str, str], Any]:
    """A group node's own list of values, dealt out to the nodes inside: each takes as many as it had."""
    values = instance.get("widgets_values")
    if not definition.get("group") or not isinstance(values, list):
        return {}
    found: dict[tuple[str, str], Any] = {}
    at = 0
    for node in definition["nodes"]:
        inner = node.get("widgets_values")
        count = len(inner) if isinstance(inner, list) else 0
        found[str(node["id"]), ""] = values[at : at + count]
        at += count
    return found if at == len(values) else {}


def proxy_values(instance: Json) -> dict[tuple[str, str], Any]:
    """Values that an instance holds for inner widgets it shows (`properties.proxyWidgets`)."""
    properties, values = instance.get("properties"), instance.get("widgets_values")
    proxies = properties.get("proxyWidgets") if isinstance(properties, Mapping) else None
    if not isinstance(proxies, list) or not isinstance(values, list) or len(proxies) != len(values):
        return {}
    return {
        (str(one[0]), str(one[1])): value
        for one, value in zip(proxies, values, strict=True)
        if isinstance(one, list) and len(one) >= 2 and value is not None and str(one[0]) != "-1"
    }


def widget_of_instance(instance: Json, name: str) -> Any:
    """The value that an instance holds for its own input `name`; None if it has none."""
    values = instance.get("widgets_values")
    if isinstance(values, Mapping):
        return values.get(name)
    if not isinstance(values, list):
        return None
    properties = instance.get("properties")
    proxies = properties.get("proxyWidgets") if isinstance(properties, Mapping) else None
    if isinstance(proxies, list) and len(proxies) == len(values):
        names = [one[1] if isinstance(one, list) and len(one) >= 2 and str(one[0]) == "-1" else None for one in proxies]
    else:
        names = [one.get("name") for one in objects(instance.get("inputs")) if isinstance(one.get("widget"), Mapping)]
    return values[names.index(name)] if name in names and names.index(name) < len(values) else None
