"""A saved workflow read into scopes: the top level, and one scope for each instance of a subgraph, nested as drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.graph.problems import Problem, problem
from engine.graph.saved import (
    BYPASSED,
    MUTED,
    OUTPUT_SIDE,
    SET,
    End,
    Json,
    first_value,
    is_id,
    is_scalar,
    objects,
    read_link,
    slot_number,
)
from engine.graph.subgraphs import definitions, group_values, proxy_values, widget_of_instance

_MOST_NODES = 200_000
_GROUP_PREFIXES = ("workflow>", "workflow/")


class Scope:
    """The nodes and links of one level. `instance` is the node of `parent` that this is the inside of."""

    def __init__(self, prefix: str = "", parent: Scope | None = None, instance: Json | None = None) -> None:
        self.prefix = prefix
        self.parent = parent
        self.instance: Json = instance or {}
        self.input_names: list[str] = []
        """Names of the inputs of the instance, by slot."""
        self.nodes: dict[str, Json] = {}
        self.links: dict[Any, End] = {}
        """Link id → origin."""
        self.results: dict[int, End] = {}
        """Output slot of the instance → what feeds it."""
        self.broadcasts: dict[tuple[str, int], End] = {}
        """(node, input slot) → origin, for inputs fed without a drawn link."""
        self.overrides: dict[tuple[str, str], Any] = {}
        """(node, widget) → the value that the instance gives it."""
        self.senders: dict[str, str] = {}
        """Name → the SetNode of that name."""
        self.children: dict[str, Scope] = {}

    def walk(self) -> Iterator[Scope]:
        """This scope and all inside it that run, outer ones first."""
        waiting = [self]
        while waiting:
            scope = waiting.pop()
            yield scope
            running = [
                inner for inner in scope.children.values() if inner.instance.get("mode") not in (MUTED, BYPASSED)
            ]
            waiting.extend(reversed(running))

    def origin(self, node_id: str, slot: int, entry: Json) -> End | None:
        """What is linked to input `slot` (its saved `entry`) of a node, if anything."""
        link = entry.get("link")
        if link is not None and is_scalar(link):
            return self.links.get(link)
        return self.broadcasts.get((node_id, slot))


def read_scopes(workflow: Json, problems: list[Problem]) -> Scope:
    """Read `workflow` with the subgraphs it uses. What is malformed is left out and told in `problems`."""
    known = definitions(workflow)
    top = Scope()
    _fill(top, workflow, problems)
    _read_broadcasts(top, workflow)
    waiting: list[tuple[Scope, frozenset[str]]] = [(top, frozenset())]
    total = len(top.nodes)
    while waiting:
        scope, around = waiting.pop()
        for node_id, node in scope.nodes.items():
            kind = node["type"]
            definition = known.get(kind)
            if definition is None:
                continue
            if kind in around or total > _MOST_NODES:
                name = str(definition.get("name") or kind)
                problems.append(problem("subgraph_recursion", node_id=scope.prefix + node_id, class_type=name))
                continue
            inner = _inner_scope(scope, node_id, node, definition, problems)
            total += len(inner.nodes)
            scope.children[node_id] = inner
            waiting.append((inner, around | {kind}))
    return top


def _inner_scope(outer: Scope, node_id: str, node: Json, definition: Json, problems: list[Problem]) -> Scope:
    inner = Scope(f"{outer.prefix}{node_id}:", outer, node)
    inner.input_names = [str(one.get("name", "")) for one in objects(definition.get("inputs"))]
    _fill(inner, definition, problems)
    inner.overrides = {**group_values(node, definition), **proxy_values(node)}
    return inner


def _fill(scope: Scope, content: Json, problems: list[Problem]) -> None:
    listed = content.get("nodes")
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, Mapping) and isinstance(entry.get("type"), str) and is_id(entry.get("id")):
            scope.nodes[str(entry["id"])] = entry
            if entry["type"] == SET and (name := first_value(entry)) is not None:
                scope.senders.setdefault(str(name), str(entry["id"]))
        else:
            problems.append(problem("invalid_workflow", details="a node without id or type", received=entry))
    links = content.get("links")
    for link in links if isinstance(links, list) else []:
        read = read_link(link)
        if read is None:
            problems.append(problem("invalid_workflow", details="a link without ends", received=link))
            continue
        link_id, end, target, target_slot = read
        scope.links[link_id] = end
        if target == OUTPUT_SIDE:
            scope.results.setdefault(target_slot, end)


def _read_broadcasts(top: Scope, workflow: Json) -> None:
    """Links that a broadcasting node makes without drawing them, as its pack saves them."""
    extra = workflow.get("extra")
    for link in objects(extra.get("ue_links") if isinstance(extra, Mapping) else None):
        down, up = link.get("downstream"), link.get("upstream")
        down_slot, up_slot = slot_number(link.get("downstream_slot")), slot_number(link.get("upstream_slot"))
        if is_id(down) and is_id(up) and down_slot is not None and up_slot is not None:
            top.broadcasts[str(down), down_slot] = End(str(up), up_slot)


def instance_value(scope: Scope, slot: int) -> Any:
    """The value of the widget on input `slot` of the instance that `scope` is the inside of; None if it has none."""
    return widget_of_instance(scope.instance, scope.input_names[slot]) if slot < len(scope.input_names) else None


def instance_input(scope: Scope, slot: int) -> tuple[int, Json] | None:
    """The saved input (position, entry) of the instance that feeds input `slot` of the subgraph, by name or position."""
    entries = objects(scope.instance.get("inputs"))
    name = scope.input_names[slot] if slot < len(scope.input_names) else None
    named = [index for index, entry in enumerate(entries) if entry.get("name") == name]
    if slot < len(entries) and (slot in named or not named):
        return slot, entries[slot]
    return (named[0], entries[named[0]]) if named else None
