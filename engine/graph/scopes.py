"""A saved workflow read into scopes: the top level, and one scope for each instance of a subgraph, nested as drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.graph.instances import OWN, held_values, proxies
from engine.graph.levels import Level
from engine.graph.problems import Problem, problem
from engine.graph.saved import BYPASSED, MUTED, End, Json, node_id, objects, slot_number
from engine.graph.subgraphs import MOST_DEEP, Subgraphs

_MOST_NODES = 200_000


class Scope:
    """One level where it runs. `instance` is the node `id` of `parent` that this is the inside of."""

    def __init__(self, level: Level, parent: Scope | None = None, id: str = "", prefix: str = "") -> None:
        self.level = level
        self.nodes = level.nodes
        self.parent = parent
        self.id = id
        self.prefix = prefix
        self.instance: Json = parent.nodes[id] if parent is not None else {}
        self.promoted: tuple[int, ...] = ()
        """The inputs of the subgraph that lead to a widget inside."""
        self.values: dict[int, Any] = {}
        """Input of the subgraph → the value that the instance has for it."""
        self.overrides: dict[tuple[str, str], Any] = {}
        """(node, widget) → the value that an instance around gives it; all values of a node under the widget ""."""
        self.broadcasts: dict[tuple[str, int], End] = {}
        """(node, input slot) → origin, for inputs fed without a drawn link."""
        self.children: dict[str, Scope] = {}
        self._entries: dict[str, list[tuple[int, Json]]] | None = None

    def walk(self) -> Iterator[Scope]:
        """This scope and all inside it that run, outer ones first."""
        waiting = [self]
        while waiting:
            scope = waiting.pop()
            yield scope
            if scope.children:
                inner = [one for one in scope.children.values() if one.instance.get("mode") not in (MUTED, BYPASSED)]
                waiting.extend(reversed(inner))

    def origin(self, node: str, slot: int, entry: Json) -> End | None:
        """What is linked to input `slot` (its saved `entry`) of a node, if anything."""
        found = self.level.origin(node, slot, entry)
        return self.broadcasts.get((node, slot)) if found is None and self.broadcasts else found

    def entry(self, slot: int) -> tuple[int, Json] | None:
        """The saved input (position, entry) of the instance that feeds input `slot` of the subgraph: the one of its name.

        Where the instance lists the name more than once, a linked one counts.
        """
        names = self.level.input_names
        if slot >= len(names):
            return None
        if self._entries is None:
            self._entries = {}
            for at, entry in enumerate(objects(self.instance.get("inputs"))):
                self._entries.setdefault(str(entry.get("name", "")), []).append((at, entry))
        same = self._entries.get(names[slot], [])
        times = names.count(names[slot])
        if times > 1:  # as many as there are inputs of this name: one each
            same = same[names[:slot].count(names[slot]) :][:1]
        if not same and self.level.is_group:
            inputs = objects(self.instance.get("inputs"))
            return (slot, inputs[slot]) if slot < len(inputs) else None
        return next((one for one in same if one[1].get("link") is not None), same[0] if same else None)

    def input_slot(self, name: Any) -> int | None:
        """The number of the subgraph's input called `name`."""
        return self.level.input_names.index(name) if name in self.level.input_names else None


def read_scopes(workflow: Json, subgraphs: Subgraphs, problems: list[Problem]) -> Scope:
    """Read `workflow` with the subgraphs it uses. What is malformed is left out and told in `problems`."""
    top = Scope(Level(workflow, problems))
    _read_broadcasts(top, workflow)
    waiting: list[tuple[Scope, frozenset[str]]] = [(top, frozenset())]
    total = len(top.nodes)
    while waiting:
        scope, around = waiting.pop()
        for key, node in scope.nodes.items():
            kind = node["type"]
            if kind not in subgraphs:
                continue
            if kind in around or total > _MOST_NODES or len(around) > MOST_DEEP:
                told = problem("subgraph_recursion", node_id=scope.prefix + key, class_type=subgraphs.name(kind))
                problems.append(told)
                continue
            inner = _inside(scope, key, subgraphs, problems)
            total += len(inner.nodes)
            waiting.append((inner, around | {kind}))
    return top


def _inside(outer: Scope, key: str, subgraphs: Subgraphs, problems: list[Problem]) -> Scope:
    kind = outer.nodes[key]["type"]
    level = subgraphs.level(kind)
    inner = outer.children[key] = Scope(level, outer, key, f"{outer.prefix}{key}:")
    inner.promoted = subgraphs.promoted(kind)
    held = held_values(inner.instance, level, inner.promoted)
    inner.values, inner.overrides = held.values, held.inner
    _take_from_around(inner, key)
    _tell_lost_links(inner, subgraphs.name(kind), problems)
    return inner


def _take_from_around(inner: Scope, key: str) -> None:
    """Values that instances around give to this one: for its inputs, or for widgets that it shows of nodes inside."""
    outer = inner.parent
    for (node, widget), value in outer.overrides.items() if outer is not None else ():
        if node != key:
            continue
        slot = inner.input_slot(widget)
        if slot is not None and slot in inner.promoted:
            inner.values[slot] = value
            continue
        for place in proxies(inner.instance):
            if place is not None and place[0] != OWN and place[1] == widget:
                inner.overrides[place] = value


def _tell_lost_links(inner: Scope, name: str, problems: list[Problem]) -> None:
    """An instance may list inputs that its definition has no more; a link to one is lost."""
    outer, known = inner.parent, set(inner.level.input_names)
    if outer is None or inner.level.is_group:
        return
    for at, entry in enumerate(objects(inner.instance.get("inputs"))):
        if entry.get("link") is not None and entry.get("name") not in known and outer.origin(inner.id, at, entry):
            details = f'the subgraph "{name}" has no input "{entry.get("name")}"'
            place = outer.prefix + inner.id
            lost = str(entry.get("name"))
            problems.append(problem("link_not_read", details=details, node_id=place, class_type=name, input_name=lost))


def _read_broadcasts(top: Scope, workflow: Json) -> None:
    """Links that a broadcasting node makes without drawing them, as its pack saves them."""
    extra = workflow.get("extra")
    for link in objects(extra.get("ue_links") if isinstance(extra, Mapping) else None):
        down, up = node_id(link.get("downstream")), node_id(link.get("upstream"))
        down_slot, up_slot = slot_number(link.get("downstream_slot")), slot_number(link.get("upstream_slot"))
        if down is not None and up is not None and down_slot is not None and up_slot is not None:
            top.broadcasts[down, down_slot] = End(up, up_slot)
