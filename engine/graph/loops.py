"""Loops of a graph: which StartLoop an EndLoop ends, and which nodes are the body between them.

A node is *within* the loops whose starts it hangs on and which no EndLoop on the way has ended. An EndLoop ends the
innermost of them: the one whose start is itself within all the others. Everything is iterative, and linear in the
graph's links times how deep loops are nested.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from engine.graph.prompt import Node, NodeId

START: Final = "StartLoop"
END: Final = "EndLoop"
LOOP_ENDS: Final = frozenset({START, END})
MOST_NESTED: Final = 20
"""Loops within loops, at most."""

_NONE: Final[frozenset[NodeId]] = frozenset()


class BrokenLoop(NamedTuple):
    """What is wrong with a StartLoop or an EndLoop, and what to do."""

    message: str
    hint: str


class Loops:
    """The loops of `prompt`: `start_of` an EndLoop, its `body`, and the `problems` of those that are broken."""

    def __init__(self, prompt: Mapping[NodeId, Node]) -> None:
        self.prompt = prompt
        self.start_of: dict[NodeId, NodeId] = {}
        self.problems: dict[NodeId, BrokenLoop] = {}
        self._within: dict[NodeId, frozenset[NodeId]] = {}
        self._ended: dict[NodeId, NodeId] = {}
        self._known: dict[NodeId, tuple[list[NodeId], list[NodeId]]] = {}
        for node_id, node in prompt.items():
            if node.class_type == END:
                self._settle(node_id)
        for node_id, node in prompt.items():
            if node.class_type == START and node_id not in self._ended:
                self.problems.setdefault(node_id, _ENDLESS)

    def within(self, node_id: NodeId) -> frozenset[NodeId]:
        """The starts of the loops that a node is within."""
        return self._within.get(node_id, _NONE)

    def body(self, end: NodeId) -> list[NodeId]:
        """The nodes between a sound EndLoop and its start, both left out; of the loops within, only their EndLoops."""
        return self._parts(end)[0]

    def around(self, end: NodeId) -> list[NodeId]:
        """What a whole loop, as one node, hangs on: what its start reads, and what its body reads from outside of it."""
        return self._parts(end)[1]

    def _parts(self, end: NodeId) -> tuple[list[NodeId], list[NodeId]]:
        if end in self._known:
            return self._known[end]
        self._known[end] = ([], [])  # for loops in a circle, which never run
        start = self.start_of[end]
        body: dict[NodeId, None] = {}
        around = dict.fromkeys(self.reads(start))
        todo = self.reads(end)
        while todo:
            node_id = todo.pop()
            if start not in self.within(node_id):
                if node_id != start:
                    around[node_id] = None
            elif node_id not in body:
                body[node_id] = None
                todo += self.around(node_id) if node_id in self.start_of else self.reads(node_id)
        self._known[end] = (list(body), list(around))
        return self._known[end]

    def reads(self, node_id: NodeId) -> list[NodeId]:
        """The nodes that a node has links to."""
        return [link.node for _, link in self.prompt[node_id].links() if link.node in self.prompt]

    def _settle(self, wanted: NodeId) -> None:
        """Work out what `wanted`, and all that it hangs on, is within. Nodes in a circle are within nothing."""
        begun: set[NodeId] = set()
        todo = [wanted]
        while todo:
            node_id = todo[-1]
            if node_id in self._within:
                todo.pop()
                continue
            if node_id not in begun:
                begun.add(node_id)
                todo += [one for one in self.reads(node_id) if one not in self._within and one not in begun]
                continue
            todo.pop()
            self._within[node_id] = self._found(node_id)

    def _found(self, node_id: NodeId) -> frozenset[NodeId]:
        within = _NONE
        for source in self.reads(node_id):
            more = self.within(source)
            if self.prompt[source].class_type == START:
                more = more | {source}
            within = within | more if not more <= within else within
        if self.prompt[node_id].class_type == END:
            return self._end(node_id, within)
        return within if len(within) <= MOST_NESTED else frozenset(sorted(within)[: MOST_NESTED + 1])

    def _end(self, end: NodeId, within: frozenset[NodeId]) -> frozenset[NodeId]:
        """Match an EndLoop that hangs on the starts `within`; what comes after it is within those that are left."""
        if not within:
            self.problems[end] = _UNBEGUN
            return _NONE
        if len(within) > MOST_NESTED:
            self.problems[end] = _TOO_DEEP
            return within
        inner = [start for start in within if within - {start} <= self.within(start)]
        if not inner:
            self.problems[end] = _several(sorted(within))
            return _NONE
        (start,) = inner
        other = self._ended.setdefault(start, end)
        if other != end:
            self.problems[end] = _twice(start, other)
            self.problems[other] = _twice(start, end)
            self.start_of.pop(other, None)
        else:
            self.start_of[end] = start
        return within - {start}


_ENDLESS: Final = BrokenLoop(
    "No EndLoop hangs on this StartLoop, so its loop never ends",
    "Link what a pass makes to an EndLoop, or take the StartLoop out.",
)
_UNBEGUN: Final = BrokenLoop(
    "What is linked to this EndLoop does not hang on a StartLoop, so there is nothing to repeat",
    "Use an output of a StartLoop in the nodes before it, or take the EndLoop out.",
)
_TOO_DEEP: Final = BrokenLoop(
    f"Loops are nested more than {MOST_NESTED} deep",
    "Have one loop do the work of several, or end one before the next begins.",
)


def _several(starts: list[NodeId]) -> BrokenLoop:
    named = ", ".join(starts[:5])
    return BrokenLoop(
        f"This EndLoop hangs on {len(starts)} StartLoops ({named}), and none of them is within the others",
        "For a loop within a loop link iteration_index of the outer StartLoop to parent_iteration of the inner one; "
        "else give each StartLoop an EndLoop of its own.",
    )


def _twice(start: NodeId, other: NodeId) -> BrokenLoop:
    return BrokenLoop(
        f"The StartLoop {start} has a second EndLoop, {other}",
        "Keep one EndLoop, and link what else must run in every pass to its terminations.",
    )
