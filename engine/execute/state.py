"""NodeState: all that changes of one node while a graph runs, and what that is made of.

Everything here is changed only under `Run.lock`, except the fields of a node while it is being run, by the one thread that
runs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from engine.cache.actions import Expansion, SlotDigests
from engine.cache.digests import Digest
from engine.cache.memory import Stored
from engine.execute.events import NodeFailed
from engine.execute.facts import SpecFacts
from engine.execute.phases import PLANNING
from engine.graph.prompt import Node

Held: TypeAlias = Stored | list[Stored]
"""The value of one output: a list where the output is a list (of any length but one)."""

BLOCKED = b"\0blocked"
"""First half of the digest of every ExecutionBlocker; no content hash will ever begin like this."""
SILENT = BLOCKED + bytes(8)
"""Digest of the blocker without a message."""


class StoredInput:
    """In an expanded node: an input that is no JSON, kept in the cache, and by `owner`, which expanded."""

    __slots__ = ("digests", "owner")

    def __init__(self, owner: str, digests: tuple[Digest, ...]) -> None:
        self.owner = owner
        self.digests = digests


class ExpansionState:
    """What an expanded node waits for: `calls` with node ids of the run, and the values it made itself (`stash`).

    `uses` counts the inputs of its nodes that are among those values. With `passing`, they are let go after the last of these:
    a loop would hold those of every pass until it ends.
    """

    __slots__ = ("calls", "keeps", "passing", "stash", "uses")

    def __init__(self, calls: tuple[Expansion, ...], stash: dict[Digest, Stored], passing: bool) -> None:
        self.calls = calls
        self.stash = stash
        self.keeps = bool(stash)
        """Whether inputs of its nodes may be among those values."""
        self.passing = passing
        self.uses = 0


class Inner(NamedTuple):
    """A node that an expansion added."""

    node: Node
    display: str
    """The node of the submitted graph to show it on."""
    parent: str
    """The node that expanded into it."""
    root: str
    """The node of the submitted graph that it comes from."""
    depth: int
    """How many expansions it is nested in, from 1."""


class LazyState:
    """The lazy inputs of a node that were read.

    `needed` are those whose producers were asked for (by the recorded chain or by the node itself); `reads` those that the
    node read in this run, in order, with a future for each that a coroutine awaits.
    """

    __slots__ = ("needed", "reads", "start_key")

    def __init__(self, start_key: bytes) -> None:
        self.start_key = start_key
        self.needed: list[str] = []
        self.reads: dict[str, asyncio.Future[list[Any]] | None] = {}


class NodeState:
    """One needed node of a run."""

    __slots__ = (
        "borrowed",
        "consumers",
        "device_memory",
        "display",
        "errand",
        "expansion",
        "facts",
        "held",
        "id",
        "key",
        "lazy",
        "leader",
        "node",
        "outputs",
        "parent",
        "peak_memory",
        "phase",
        "private",
        "problem",
        "ran",
        "reads_stale",
        "recorded",
        "remaking",
        "seconds",
        "stands_for",
        "ui",
        "upstream",
        "uses",
        "uses_inputs",
        "waiters",
        "waiting",
    )

    def __init__(self, node_id: str, node: Node, facts: SpecFacts, display: str, parent: str | None) -> None:
        self.id = node_id
        self.node = node
        self.facts = facts
        self.display = display
        self.parent = parent
        self.phase = PLANNING
        self.waiting = 0
        """How many other states it waits for."""
        self.consumers: list[NodeState] | None = None
        """States that wait for this one's digests (or for its failure)."""
        self.waiters: list[NodeState] | None = None
        """States that wait for this one's values, which are being remade."""
        self.uses = 0
        """How many links to this node belong to states that are not finished."""
        self.uses_inputs = False
        """Whether it is itself counted in the `uses` of its producers."""
        self.ran = False
        self.key: bytes = b""
        self.recorded = True
        """Whether what it gives may be remembered beyond this run."""
        self.outputs: tuple[SlotDigests, ...] | None = None
        self.held: list[Held] | None = None
        self.ui: dict[str, Any] | None = None
        self.seconds = 0.0
        self.peak_memory = 0
        self.device_memory = 0
        self.upstream: NodeState | None = None
        """A producer that failed."""
        self.problem: NodeFailed | None = None
        self.leader: NodeState | None = None
        self.expansion: ExpansionState | None = None
        self.lazy: LazyState | None = None
        self.errand: Callable[[list[Held] | None], None] | None = None
        """Set on states that are no nodes but want values of nodes: called with them, or with None when there are none."""
        self.remaking = False
        self.stands_for: NodeState | None = None
        """Set on a state made only to run an expanded node again for the values that it made itself."""
        self.private = False
        """Whether it must run on copies of its inputs, as somebody wrote into them while it ran."""
        self.reads_stale = False
        """Whether an input was remade to another value, so that the key has to be worked out again."""
        self.borrowed: list[NodeState] | None = None
        """States beyond its inputs in whose `uses` it is counted: nodes of its expansion, nodes remade for it."""

    def enter(self, phase: int) -> None:
        """Go on to a phase (`engine.execute.phases`)."""
        self.phase = phase
