"""What really makes a value: links followed through everything on the canvas that only passes values on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from engine.graph.dynamic import GROWS
from engine.graph.saved import BYPASSED, INPUT_SIDE, MUTED, PRIMITIVE, SET, End, Json, first_value, objects
from engine.graph.schema import InputSpec
from engine.graph.scopes import Scope
from engine.graph.subgraphs import Subgraphs
from engine.graph.widgets import Plan, Plans, listed_widgets, read_values

REROUTES: Final = frozenset({"Reroute", "Reroute (rgthree)"})
GET: Final = "GetNode"


class Constant(NamedTuple):
    """A value instead of a link."""

    value: Any


class Lost(NamedTuple):
    """A PrimitiveNode (its id as prompts would have it) whose value the field's front end does not bring here."""

    node: str


Source = list[Any] | Constant | Lost | None
"""What feeds an input: a link `[id, slot]`, a value, or nothing."""


class _Place(NamedTuple):
    """An output in some scope, at which the search goes on."""

    scope: Scope
    end: End


class Sources:
    """Finds sources in the scopes of one workflow."""

    def __init__(self, subgraphs: Subgraphs, plans: Plans) -> None:
        self._subgraphs = subgraphs
        self._plans = plans
        self._own: dict[tuple[str, int], Any] = {}

    def of(self, scope: Scope, end: End, kind: str) -> Source:
        """What makes the value at an output, for an input of type `kind`."""
        node = scope.nodes.get(end.node)
        if node is not None and node["type"] == PRIMITIVE:
            value = scope.overrides.get((end.node, "value"), first_value(node))
            return Constant(value) if value is not None else None
        seen: set[tuple[str, End]] = set()
        while (scope.prefix, end) not in seen:
            seen.add((scope.prefix, end))
            found = self._step(scope, end, kind)
            if not isinstance(found, _Place):
                return found
            scope, end = found
        return None

    def _step(self, scope: Scope, end: End, kind: str) -> Source | _Place:
        """One step of the search: the source itself, or the next place to look at."""
        node_id, slot = end
        if node_id == INPUT_SIDE and scope.parent is not None:
            return self._outside(scope, slot)
        node = scope.nodes.get(node_id)
        if node is None or node.get("mode") == MUTED:
            return None
        if node["type"] == PRIMITIVE:
            return Lost(scope.prefix + node_id)
        if node.get("mode") == BYPASSED:
            return self._bypassed(scope, node_id, slot, kind)
        if node_id in scope.children:
            inner = scope.children[node_id]
            return _Place(inner, inner.level.results[slot]) if slot in inner.level.results else None
        if node["type"] == GET:
            sender = _sender(scope, node)
            return _before(*sender, 0) if sender is not None else None
        if node["type"] in REROUTES or node["type"] == SET:
            return _before(scope, node_id, 0)
        return [scope.prefix + node_id, slot]

    def _outside(self, inner: Scope, slot: int) -> Source | _Place:
        """What is linked to input `slot` of the instance that `inner` is the inside of, or the value of its widget."""
        while inner.parent is not None:
            entry = inner.entry(slot)
            end = inner.parent.origin(inner.id, *entry) if entry is not None else None
            if end is None:
                break
            if end.node != INPUT_SIDE or inner.parent.parent is None:
                node = inner.parent.nodes.get(end.node)
                if node is not None and node["type"] == PRIMITIVE:
                    return Lost(inner.parent.prefix + end.node)
                return _Place(inner.parent, end)
            inner, slot = inner.parent, end.slot
        value = self.held(inner, slot)
        return Constant(value) if value is not None else None

    def held(self, scope: Scope, slot: int) -> Any:
        """The value of the widget that input `slot` of an instance shows: its own, else that of the first widget inside."""
        if slot not in scope.promoted:
            return None
        value = scope.values.get(slot)
        if value is not None:
            return value
        key = (scope.prefix, slot)
        if key not in self._own:
            self._own[key] = self._first_inside(scope, slot)
        return self._own[key]

    def _first_inside(self, scope: Scope, slot: int) -> Any:
        for node_id, entry in scope.level.leads(slot):
            if not self._subgraphs.is_widget(scope.level, node_id, entry):
                continue
            name = str(entry.get("name"))
            inner = scope.children.get(node_id)
            if inner is None:
                return self.values(scope, node_id).get(name)
            number = inner.input_slot(name)
            return self.held(inner, number) if number is not None else None
        return None

    def values(self, scope: Scope, node_id: str) -> dict[str, Any]:
        """The widget values of a node itself by name, with what instances around it say."""
        node = scope.nodes[node_id]
        dealt = scope.overrides.get((node_id, "")) if scope.overrides else None
        plan = self._plans.of(node["type"])
        found = read_values(node if dealt is None else {**node, "widgets_values": dealt}, plan) or {}
        if scope.overrides:
            for name in dict.fromkeys([*listed_widgets(node), *found, *(plan.names if plan is not None else ())]):
                if (node_id, name) in scope.overrides:
                    found[name] = scope.overrides[node_id, name]
        if plan is not None:
            for name, value in plan.fill:
                if name not in found:
                    found[name] = value
            if plan.changes:
                found.update(plan.brought_fill(found))
        return found

    def _bypassed(self, scope: Scope, node_id: str, slot: int, kind: str) -> _Place | None:
        inputs = list(self._inputs(scope, node_id))
        at = passed_on([str(entry.get("type", "")) for _, entry in inputs], slot, kind)
        if at is None or inputs[at][0] is None:
            return None
        end = scope.origin(node_id, inputs[at][0] or 0, inputs[at][1])
        return _Place(scope, end) if end is not None else None

    def _inputs(self, scope: Scope, node_id: str) -> Iterator[tuple[int | None, Json]]:
        """All inputs of a node in the order of its class, sockets before widgets, as (position in the file, saved input)."""
        node = scope.nodes[node_id]
        saved = list(enumerate(objects(node.get("inputs"))))
        plan = self._plans.of(node["type"])
        if node_id in scope.children or plan is None:
            inner = scope.children.get(node_id)
            names = inner.level.input_names if inner is not None else []
            declared = [inner.entry(slot) if inner is not None else None for slot in range(len(names))]
            yield from (one if one is not None else (None, {"type": "-"}) for one in declared)
            yield from (one for one in saved if one[1].get("name") not in names)
            return
        waiting = dict(saved)
        sockets = [one for one in plan.spec.inputs if not one.is_widget]
        for one in (*sockets, *plan.widgets):
            found = [at for at, entry in waiting.items() if _is_of(str(entry.get("name")), one)]
            yield from ((at, waiting.pop(at)) for at in found)
            if not found and one.type not in GROWS:
                yield None, {"type": one.type}
        yield from waiting.items()


def _is_of(name: str, one: InputSpec) -> bool:
    return name == one.name or (one.type in GROWS and name.startswith(f"{one.name}."))


def passed_on(types: list[str], slot: int, kind: str) -> int | None:
    """The input that a bypassed node with inputs of these `types` passes on as output `slot`, for an input of type `kind`.

    The one at the output's place if it fits, else the first of exactly that type, else the first that fits.
    """
    if kind in ("*", ""):
        return slot if slot < len(types) else (0 if types else None)
    if slot < len(types) and fits(types[slot], kind):
        return slot
    if kind in types:
        return types.index(kind)
    return next((at for at, one in enumerate(types) if fits(one, kind)), None)


def fits(one: str, other: str) -> bool:
    """Whether two types of sockets may be linked on the canvas: equal, either open, or with a member in common."""
    if one == other or not one or not other or one == "*" or other == "*":
        return True
    return not set(one.lower().split(",")).isdisjoint(other.lower().split(","))


def input_type(entry: Json, plan: Plan | None) -> str:
    """The type of a saved input: as its class declares it, else as the file says."""
    declared = plan.by_name.get(str(entry.get("name"))) if plan is not None else None
    if declared is not None:
        return declared.type
    kind = entry.get("type")
    return kind if isinstance(kind, str) else "*"


def _before(scope: Scope, node_id: str, slot: int) -> _Place | None:
    """What is linked to input `slot` of a node."""
    entries = objects(scope.nodes[node_id].get("inputs"))
    if slot >= len(entries):
        return None
    end = scope.origin(node_id, slot, entries[slot])
    return _Place(scope, end) if end is not None else None


def _sender(scope: Scope, getter: Mapping[str, Any]) -> tuple[Scope, str] | None:
    """The SetNode with the name that a GetNode asks for, in its own scope or one around it."""
    name = str(first_value(getter))
    around: Scope | None = scope
    while around is not None:
        if name in around.level.senders:
            return around, around.level.senders[name]
        around = around.parent
    return None
