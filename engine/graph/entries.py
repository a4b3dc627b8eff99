"""The entries of a prompt as they are added one by one: ids, titles, order. What scripts and readers of scripts share."""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.graph.dynamic import GROWING, ROWS, growable
from engine.graph.live_inputs import GROUPS, LiveInputs
from engine.graph.problems import GraphError, one_of, problem, shown
from engine.graph.prompt import Link, is_link, wrap
from engine.graph.schema import Catalogue, InputSpec, NodeSpec


class Entries:
    """A prompt that grows. `titles`: whether each node has a title, its class's where none is given, as editors write it."""

    def __init__(self, catalogue: Catalogue, *, titles: bool = False) -> None:
        self.catalogue = catalogue
        self.titles = titles
        self._entries: dict[str, Any] = {}
        self._order: list[str] = []
        self._last = 0

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._entries

    def next_id(self) -> str:
        """The id of the next node that is given none: one more than the largest number among the ids so far."""
        return str(self._last + 1)

    def title_of(self, class_type: str) -> str:
        """The title of a node of this class that has none of its own."""
        spec = self.catalogue.spec(class_type)
        return spec.display_name if spec is not None and spec.display_name else class_type

    def add(self, node_id: str, class_type: str, inputs: Mapping[str, Any], title: str | None = None) -> None:
        """Add a node. Constants and `Link`s are written as a prompt has them; no `title` is the graph's habit, "" is none.

        Raises GraphError `duplicate_node_id`.
        """
        entry: dict[str, Any] = {
            "class_type": class_type,
            "inputs": {name: _written(value) for name, value in inputs.items()},
        }
        if title is None and self.titles:
            title = self.title_of(class_type)
        if title:
            entry["_meta"] = {"title": title}
        self.put(node_id, entry)

    def put(self, node_id: str, entry: Any) -> None:
        """Add an entry as it is. Raises GraphError `duplicate_node_id`."""
        if node_id in self._entries:
            hint = f"Leave the id out, or give another: {self.next_id()} is free."
            raise GraphError([problem("duplicate_node_id", node_id=node_id, hint=hint)])
        self._entries[node_id] = entry
        if node_id.isdecimal() and len(node_id) < _MOST_DIGITS:
            self._last = max(self._last, int(node_id))

    def order(self, ids: Sequence[str]) -> None:
        """Have these nodes first, in this order; others follow as they were added."""
        self._order = list(ids)

    def prompt(self) -> dict[str, Any]:
        """The prompt form, as JSON."""
        ids = dict.fromkeys([*(one for one in self._order if one in self._entries), *self._entries])
        return {node_id: self._entries[node_id] for node_id in ids}


_MOST_DIGITS = 16


def _written(value: Any) -> Any:
    if type(value) is Link:
        return list(value)
    return wrap(value) if is_link(value) else value  # other lists read as the constants that they are


def named_inputs(
    node_id: str, class_type: str, spec: NodeSpec | None, places: Sequence[Any], names: Mapping[str, Any]
) -> dict[str, Any]:
    """The inputs of a call: those by place under their names, and a list for inputs that grow as the single inputs.

    Raises GraphError `unexpected_input`: too many by place, or one given twice.
    """
    declared = [one.name for one in spec.inputs] if spec is not None else []
    if len(places) > len(declared):
        details = f"{len(places)} by place; it has {len(declared)}: {', '.join(declared)}"
        raise _unexpected(node_id, class_type, None, details, "Give inputs by name.")
    inputs = dict(zip(declared, places))
    for name, value in names.items():
        if name in inputs:
            raise _unexpected(node_id, class_type, name, f"{name}: given by place and by name", "Give it once.")
        inputs[name] = value
    found: dict[str, Any] = {}
    for name, value in inputs.items():
        group = spec.input(name) if spec is not None else None
        if group is not None and group.type == ROWS and isinstance(value, list | tuple):
            rows = [(row, one) for row, one in enumerate(value) if isinstance(one, dict)]
            found.update({f"{name}.{row}.{field}": given for row, one in rows for field, given in one.items()})
        elif group is not None and group.type == GROWING and isinstance(value, list | tuple | dict):
            found.update(_grown(node_id, class_type, group, value))
        else:
            found[name] = value
    return found


def _grown(node_id: str, class_type: str, group: InputSpec, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"{group.name}.{name}": one for name, one in value.items()}
    names = [one.name for one in growable(group)]
    if len(value) > len(names):
        details = f"{group.name} takes at most {len(names)} inputs, and was given {len(value)}"
        raise _unexpected(node_id, class_type, group.name, details, "Give fewer.")
    return dict(zip(names, value))


def undeclared(spec: NodeSpec, inputs: Mapping[str, Any]) -> list[str]:
    """The names among `inputs` (with `Link`s) that a node of this class does not have, given its choices."""
    if spec.open_inputs:
        return []
    known = _known(spec, inputs)
    return [name for name in inputs if name not in known]


def unknown_input(node_id: str, spec: NodeSpec, name: str, inputs: Mapping[str, Any]) -> GraphError:
    """That there is no input `name`, with those that are meant by it most likely."""
    known = list(_known(spec, inputs))
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {one_of(near)}?" if near else f"It has {one_of(known)}." if known else "It has none."
    return _unexpected(node_id, spec.name, name, shown(name), hint)


def _known(spec: NodeSpec, inputs: Mapping[str, Any]) -> Iterable[str]:
    names = {one.name: None for one in spec.inputs}
    groups = [one for one in spec.inputs if one.type in GROUPS]
    return {**names, **dict.fromkeys(LiveInputs(groups, inputs).declared)} if groups else names


def _unexpected(node_id: str, class_type: str, name: str | None, details: str, hint: str) -> GraphError:
    place: dict[str, Any] = {"node_id": node_id, "class_type": class_type, "input_name": name}
    return GraphError([problem("unexpected_input", details=details, hint=hint, **place)])


def plain_name(name: str) -> str:
    """The name of an output as an attribute: what is no letter, digit or `_` becomes `_`."""
    plain = re.sub(r"\W", "_", name)
    return f"_{plain}" if plain[:1].isdigit() or not plain else plain


def is_word(name: str) -> bool:
    """Whether a name of a node or an input can stand in a call as it is; those that begin with `_` are the call's own."""
    return name.isidentifier() and name.isascii() and not name.startswith("_") and not keyword.iskeyword(name)
