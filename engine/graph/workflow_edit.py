"""Changing a saved workflow in place, so that a picture carries the workflow that really made it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.graph.following import Sources
from engine.graph.instances import OWN, proxied_input, proxies
from engine.graph.problems import Problem
from engine.graph.saved import INPUT_SIDE, PRIMITIVE, End, objects
from engine.graph.schema import Catalogue
from engine.graph.scopes import Scope, read_scopes
from engine.graph.subgraphs import Subgraphs
from engine.graph.widgets import Plans, named_values, value_index, value_list, widget_inputs

Json = dict[str, Any]


def write_value(workflow: Json, node_id: str, input_name: str, value: Any, catalogue: Catalogue) -> bool:
    """Set the widget behind input `input_name` of a node, which has the id that it has in the prompt form.

    That may be a widget of a PrimitiveNode that feeds it, or one that an instance of a subgraph shows. `instance:inner`
    reaches into a subgraph; what other instances of it run with stays. A value is written wherever the file has it: in the
    list and by name. Returns whether a place was found; a workflow of any shape is left whole if not.
    """
    return _Edit(workflow, catalogue).write(node_id, input_name, value)


class _Edit:
    def __init__(self, workflow: Json, catalogue: Catalogue) -> None:
        problems: list[Problem] = []
        plans = Plans(catalogue)
        subgraphs = Subgraphs(workflow, problems, plans)
        self._catalogue = catalogue
        self._top = read_scopes(workflow, subgraphs, problems)
        self._sources = Sources(subgraphs, plans)

    def write(self, node_id: str, name: str, value: Any) -> bool:
        scope = self._top
        *instances, inner = node_id.split(":")
        for one in instances:
            if one not in scope.children:
                return False
            scope = scope.children[one]
        node = scope.nodes.get(inner)
        if not isinstance(node, dict):
            return False
        for slot, entry in enumerate(objects(node.get("inputs"))):
            end = scope.origin(inner, slot, entry) if entry.get("name") == name else None
            if end is None:
                continue
            if end.node == INPUT_SIDE and self._write_outside(scope, end.slot, value):
                return True
            feeder = scope.nodes.get(end.node)
            if isinstance(feeder, dict) and feeder["type"] == PRIMITIVE:
                return self._write_own(scope, end.node, feeder, "value", value)
            if name not in self._sources.values(scope, inner) or not self._unlink(scope, end, inner, slot, entry):
                return False
        return self._write_own(scope, inner, node, name, value)

    def _write_outside(self, scope: Scope, slot: int, value: Any) -> bool:
        """Set input `slot` of the instance that `scope` is the inside of, or of the one around it that feeds it."""
        outer = scope.parent
        if outer is None or slot not in scope.promoted:
            return False
        entry = scope.entry(slot)
        end = outer.origin(scope.id, *entry) if entry is not None else None
        if end is not None and end.node == INPUT_SIDE:
            return self._write_outside(outer, end.slot, value)
        if end is not None and entry is not None and not self._unlink(outer, end, scope.id, *entry):
            return False
        held = self._held(scope)
        held[OWN, scope.level.input_names[slot]] = value
        _write_held(scope, held)
        return True

    def _unlink(self, scope: Scope, end: End, key: str, slot: int, entry: Any) -> bool:
        """Take away what is linked to a widget, so that its own value counts; not where that would change other instances."""
        if not isinstance(self._sources.of(scope, end, "*"), list):
            return True  # nothing comes that way
        if self._is_shared(scope) or not isinstance(entry, dict):
            return False
        scope.level.remove(key, slot, entry)
        return True

    def _write_own(self, scope: Scope, key: str, node: Json, name: str, value: Any) -> bool:
        """Set a widget of a node itself; of this instance of a subgraph alone if there are more."""
        if scope.level.is_group:
            return self._write_in_group(scope, key, node, name, value)
        if scope.parent is not None and ((key, name) in scope.overrides or self._is_shared(scope)):
            if name not in self._sources.values(scope, key) and node["type"] != PRIMITIVE:
                return False
            held = self._held(scope)
            held[key, name] = value
            _write_held(scope, held)
            return True
        return self._write_in(node, name, value)

    def _write_in(self, node: Json, name: str, value: Any) -> bool:
        values = node.get("widgets_values")
        if isinstance(values, dict):
            values[name] = value
            return True
        is_primitive = node["type"] == PRIMITIVE
        named = node.get("widgets_values_named")
        by_name = isinstance(named, dict) and (is_primitive or name in named)
        if is_primitive:
            at: int | None = 0 if isinstance(values, list) and values else None
        else:
            at = value_index(node, self._catalogue.spec(node["type"]), name)
        if isinstance(values, list) and at is not None:
            values[at] = value
        elif not by_name and not self._write_whole_list(node, name, value):
            return False
        if by_name and isinstance(named, dict):
            named[name] = value
        return True

    def _write_whole_list(self, node: Json, name: str, value: Any) -> bool:
        """Write all values of a node whose list ends before the one that is set."""
        spec = self._catalogue.spec(node["type"])
        known = named_values(node, spec) if spec is not None else None
        if spec is None or known is None or name not in [one.name for one in widget_inputs(spec)]:
            return False
        node["widgets_values"] = value_list(spec, {**known, name: value})
        return True

    def _write_in_group(self, scope: Scope, key: str, node: Json, name: str, value: Any) -> bool:
        """A group node holds the values of all that is inside, one list after the other."""
        dealt = scope.overrides.get((key, ""))
        values = scope.instance.get("widgets_values")
        if dealt is None or not isinstance(values, list):
            return False
        at = value_index({**node, "widgets_values": dealt}, self._catalogue.spec(node["type"]), name)
        if at is None:
            return False
        before = list(scope.nodes)[: list(scope.nodes).index(key)]
        values[sum(len(scope.overrides[one, ""]) for one in before) + at] = value
        return True

    def _is_shared(self, scope: Scope) -> bool:
        """Whether what is inside `scope` runs in another instance too."""
        return sum(one.level is scope.level for one in _all_scopes(self._top)) > 1

    def _held(self, scope: Scope) -> dict[tuple[str, str], Any]:
        """What an instance shows: its own inputs in the definition's order, then widgets of nodes inside."""
        names = scope.level.input_names
        held = {(OWN, names[slot]): self._sources.held(scope, slot) for slot in scope.promoted}
        values = scope.instance.get("widgets_values")
        listed = values if isinstance(values, list) else []
        for at, place in enumerate(proxies(scope.instance)):
            if place is not None and place[0] != OWN and proxied_input(place, scope.level, scope.promoted) is None:
                own = self._sources.values(scope, place[0]).get(place[1]) if place[0] in scope.nodes else None
                held[place] = listed[at] if at < len(listed) and listed[at] is not None else own
        return held


def _write_held(scope: Scope, held: dict[tuple[str, str], Any]) -> None:
    """Write what an instance holds so that all readers agree: those that go by the definition, by proxies, and by name."""
    instance = scope.instance
    if not isinstance(instance, dict):
        return
    instance["widgets_values"] = list(held.values())
    named = instance.get("widgets_values_named")
    if isinstance(named, dict):
        named.update({name: value for (node, name), value in held.items() if node == OWN})
    properties = instance.get("properties")
    had = isinstance(properties, dict) and bool(properties.get("proxyWidgets"))
    if had or any(node != OWN for node, _ in held):
        if not isinstance(properties, dict):
            properties = instance["properties"] = {}
        properties["proxyWidgets"] = [list(place) for place in held]


def _all_scopes(top: Scope) -> Iterator[Scope]:
    waiting = [top]
    while waiting:
        scope = waiting.pop()
        yield scope
        waiting.extend(scope.children.values())
