"""Definitions of subgraphs in a saved workflow, looked up by the type of their instances.

Older files hold *group nodes* (`workflow>Name`, defined in `extra.groupNodes`); they are read as subgraphs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from engine.graph.levels import Level
from engine.graph.problems import Problem, problem
from engine.graph.saved import INPUT_SIDE, OUTPUT_SIDE, Json, is_scalar, objects, slot_number, widget_name
from engine.graph.widgets import Plans

_GROUP_PREFIXES: Final = ("workflow>", "workflow/")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
MOST_DEEP: Final = 100
"""How deep subgraphs may stand in each other."""


class Subgraphs:
    """The definitions of one file, each read when an instance of it is first met."""

    def __init__(self, workflow: Json, problems: list[Problem], plans: Plans) -> None:
        self._problems = problems
        self._plans = plans
        self._known = _definitions(workflow, problems)
        self._levels: dict[str, Level] = {}
        self._promoted: dict[str, tuple[int, ...]] = {}

    def __contains__(self, kind: str) -> bool:
        return kind in self._known

    def name(self, kind: str) -> str:
        """What a subgraph is called."""
        return str(self._known[kind].get("name") or kind)

    def level(self, kind: str) -> Level:
        """The inside of a subgraph."""
        found = self._levels.get(kind)
        if found is None:
            definition = self._known[kind]
            for part in ("nodes", "links"):
                if not isinstance(definition.get(part), list | Mapping):
                    details = f'the subgraph "{self.name(kind)}" has no list of {part}'
                    self._problems.append(problem("invalid_workflow", details=details, received=definition.get(part)))
            found = self._levels[kind] = Level(definition, self._problems)
        return found

    def promoted(self, kind: str, around: frozenset[str] = frozenset()) -> tuple[int, ...]:
        """The inputs (by number) of a subgraph that lead to a widget inside: an instance holds a value for each."""
        found = self._promoted.get(kind)
        if found is None:
            if kind in around or len(around) > MOST_DEEP:
                return ()
            level = self.level(kind)
            inner = around | {kind}
            slots = range(len(level.input_names))
            found = tuple(
                slot for slot in slots if any(self.is_widget(level, *lead, inner) for lead in level.leads(slot))
            )
            self._promoted[kind] = found
        return found

    def is_widget(self, level: Level, node: str, entry: Json, around: frozenset[str] = frozenset()) -> bool:
        """Whether a saved input of a node stands for a widget: of its class, or of what is inside it."""
        kind = level.nodes[node]["type"]
        if kind in self._known:
            names = self.level(kind).input_names
            return entry.get("name") in [names[slot] for slot in self.promoted(kind, around)]
        plan = self._plans.of(kind)
        declared = plan.by_name.get(str(entry.get("name"))) if plan is not None else None
        if declared is not None and (declared.is_widget or declared.link_only):
            return declared.is_widget
        return widget_name(entry) is not None


def is_missing(kind: str) -> bool:
    """Whether a type that no class has is that of a subgraph, whose definition the file then lacks."""
    return _UUID.fullmatch(kind) is not None


def _definitions(workflow: Json, problems: list[Problem]) -> dict[str, Json]:
    """Type of an instance → the definition of its inside."""
    found: dict[str, Json] = {}
    waiting = _listed(workflow.get("definitions"), problems)
    for definition in waiting:
        key = definition.get("id")
        if not isinstance(key, str):
            problems.append(
                problem("invalid_workflow", details="the definition of a subgraph without an id", received=key)
            )
        elif key in found:
            details = (
                f'two definitions of subgraphs have the id {key}: "{found[key].get("name")}" is the one that counts'
            )
            problems.append(problem("invalid_workflow", details=details))
        else:
            found[key] = definition
        waiting.extend(_listed(definition.get("definitions"), problems))
    extra = workflow.get("extra")
    groups = extra.get("groupNodes") if isinstance(extra, Mapping) else None
    for name, group in groups.items() if isinstance(groups, Mapping) else ():
        if isinstance(group, Mapping):
            definition = _group_definition(str(name), group)
            found.update({prefix + str(name): definition for prefix in _GROUP_PREFIXES})
    return found


def _listed(definitions: Any, problems: list[Problem]) -> list[Json]:
    held = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    if held is not None and (not isinstance(held, list) or len(objects(held)) < len(held)):
        problems.append(problem("invalid_workflow", details="the definitions of subgraphs are no list of objects"))
    return objects(held)


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

    for ends in drawn:
        origin, origin_slot, target, target_slot = (slot_number(one) for one in ends[:4])
        if origin is None or origin_slot is None or target is None or target_slot is None or target >= len(nodes):
            continue
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
