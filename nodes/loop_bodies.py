"""The body of a loop as text, and the passes that are made of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from engine.graph.loops import Loops
from engine.graph.prompt import ALWAYS, DISPLAY, Link, Node, NodeId

MOST_AROUND: Final = 256
"""Outputs of nodes outside of a loop that its body may read."""

MOST_TOLD: Final = 100
"""Passes of a loop that report how far it is."""

Ref: TypeAlias = list[Any]
"""What an input of the body holds: ["c", constant], ["n", node, slot] of the body, ["s", slot] of the StartLoop,
["a", number] of what is around, or ["b", body] of a loop within: as text in text its quotes would double with every level."""

INDEX, IS_FIRST, IS_LAST, ITEM, CURRENT = range(5)
"""Outputs of StartLoop."""

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def whole_loop(loops: Loops, end: NodeId) -> Node:
    """The one node that stands for the loop of an EndLoop: it makes the passes once it is known how many there are.

    Its inputs are those of the StartLoop, the body as text, and the links that lead out of the body (`around.0` …).
    """
    inputs, body = _parts(loops, end)
    return Node("LoopPasses", {**inputs, "body": _dumped(body)})


def _parts(loops: Loops, end: NodeId) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs of the node that stands for a loop but the body, and the body."""
    start = loops.start_of[end]
    begin, close = loops.prompt[start], loops.prompt[end]
    reader = _Reader(start, frozenset(loops.body(end)))
    nodes = []
    for node_id in loops.body(end):
        within: dict[str, Ref] = {}
        if node_id in loops.start_of:
            given, inner = _parts(loops, node_id)
            kind, within = "LoopPasses", {"body": ["b", inner]}
        else:
            kind, given = loops.prompt[node_id].class_type, dict(loops.prompt[node_id].inputs)
        nodes.append([node_id, kind, {name: reader.ref(value) for name, value in given.items()} | within])
    inputs = {name.removeprefix("mode."): value for name, value in begin.inputs.items()}
    inputs.pop("parent_iteration", None)
    body = {
        "nodes": nodes,
        "shown": start,
        "end": end,
        "initial": reader.ref(inputs.pop("initial_iteration_value", None)),
        "output": reader.ref(close.inputs.get("output_value"), "output_value" in close.inputs),
        "next": reader.ref(close.inputs.get("next_iteration_value"), "next_iteration_value" in close.inputs),
        "ends": [reader.ref(value) for name, value in close.inputs.items() if name.startswith("terminations.")],
    }
    if len(reader.around) > MOST_AROUND:
        raise ValueError(
            f"EndLoop: the body of the loop reads {len(reader.around)} outputs of nodes outside of it; at most {MOST_AROUND} "
            "are passed into one. Put some of them together before the loop, or split the loop."
        )
    inputs["accumulate"] = close.inputs.get("accumulate", False)
    for link, number in reader.around.items():
        inputs[f"around.{number}"] = link
    return inputs, body


def _dumped(body: dict[str, Any]) -> str:
    try:
        return json.dumps(body)
    except TypeError:
        raise ValueError(
            "EndLoop: a node of the loop holds a value that is no JSON, which only nodes can put there. Link it instead."
        ) from None


def _as_constant(ref: Ref) -> Ref:
    return ["c", json.dumps(ref[1])] if ref[0] == "b" else ref


class _Reader:
    """Tells what the inputs of a body hold, and collects the links that lead out of it."""

    def __init__(self, start: NodeId, inside: frozenset[NodeId]) -> None:
        self._start = start
        self._inside = inside
        self.around: dict[Link, int] = {}

    def ref(self, value: Any, there: bool = True) -> Ref | None:
        """The reference for one value; None where nothing is `there`."""
        if not there:
            return None
        if type(value) is not Link:
            return ["c", value]
        if value.node == self._start:
            return ["s", value.slot]
        if value.node in self._inside:
            return ["n", *value]
        return ["a", self.around.setdefault(value, len(self.around))]


class Pass(NamedTuple):
    """What differs from pass to pass; `current` and `item` are constants or links."""

    number: int
    place: int
    is_last: bool
    item: Any
    current: Any


class Passes:
    """Makes the nodes of a loop's passes, named `pass.node`; `around(n)` is what the body's link number n leads to."""

    def __init__(self, body: str, around: Callable[[int], Any], *, again: bool, accumulate: bool) -> None:
        read = json.loads(body)
        anew = {ALWAYS: True} if again else {}
        self._nodes: list[tuple[NodeId, str, list[tuple[str, Ref]], dict[str, Any]]] = [
            (node_id, kind, [(name, _as_constant(ref)) for name, ref in inputs.items()], {DISPLAY: node_id, **anew})
            for node_id, kind, inputs in read["nodes"]
        ]
        self._shown: str = read["shown"]
        self.end: str = read["end"]
        self._initial, self._output, self._next = read["initial"], read["output"], read["next"]
        self._ends: list[Ref] = read["ends"]
        self._made: Ref | None = self._next or (self._output if accumulate else None)
        """What every pass must make, as the result hangs on it."""
        self._around = around
        self._told = {DISPLAY: self._shown, **anew}
        self._reads_item = any(ref == ["s", ITEM] for ref in self._refs())
        self.made: dict[NodeId, Node] = {}

    @property
    def size(self) -> int:
        """Most nodes of a pass."""
        return len(self._nodes) + 2

    def make(self, indices: range, items: list[Any] | None, items_from: Link | None) -> list[Any]:
        """Make all passes, and give what each gives: a link, a constant, or nothing where there is no output."""
        given: list[Any] = []
        current = self._value(self._initial, None)
        for number, index in enumerate(indices):
            item = None if items is None else self._item(number, items[number], items_from)
            one = Pass(number, index, number == len(indices) - 1, item, current)
            self._copy(one)
            self._tell(one, len(indices))
            if self._output is not None:
                given.append(self._value(self._output, one))
            if self._next is not None:
                current = self._value(self._next, one)
        return given

    def _copy(self, one: Pass) -> None:
        """Make the body's nodes for a pass; a loop of many is made here, so it says inline what `_value` does."""
        own = (one.place, one.number == 0, one.is_last, one.item, one.current)
        names = {node_id: f"{one.number}.{node_id}" for node_id, *_ in self._nodes}
        for node_id, kind, inputs, meta in self._nodes:
            values: dict[str, Any] = {}
            for name, (how, what, *slot) in inputs:
                if how == "n":
                    values[name] = Link(names[what], slot[0])
                elif how == "c":
                    values[name] = what
                else:
                    values[name] = own[what] if how == "s" else self._around(what)
            self.made[names[node_id]] = Node(kind, values, meta)

    def _value(self, ref: Ref, one: Pass | None) -> Any:
        kind = ref[0]
        if kind == "c":
            return ref[1]
        if kind == "a":
            return self._around(ref[1])
        assert one is not None  # what a loop begins with does not hang on its passes
        if kind == "n":
            return Link(f"{one.number}.{ref[1]}", ref[2])
        return (one.place, one.number == 0, one.is_last, one.item, one.current)[ref[1]]

    def _item(self, number: int, item: Any, items_from: Link | None) -> Any:
        if items_from is None or type(item) in _SCALARS:
            return item
        name = f"{number}.item"
        if self._reads_item:
            self.made[name] = Node("GetItemFromList", {"list": items_from, "index": number})
        return Link(name, 0)

    def _refs(self) -> Iterator[Ref | None]:
        yield from (self._output, self._next, *self._ends)
        for _, _, inputs, _ in self._nodes:
            yield from (ref for _, ref in inputs)

    def _tell(self, one: Pass, total: int) -> None:
        """A node that waits for what must run in every pass, and now and then only for the pass itself."""
        every = -(-total // MOST_TOLD)
        waits: list[Ref | None] = [*self._ends] or ([] if (one.number + 1) % every else [self._made])
        links = [value for ref in waits if ref is not None and type(value := self._value(ref, one)) is Link]
        if links:
            inputs = {"start_id": self._shown, "position": one.number + 1, "total": total}
            after = {f"after{at}": link for at, link in enumerate(links)}
            self.made[f"{one.number}.progress"] = Node("LoopProgress", {**inputs, **after}, self._told)
