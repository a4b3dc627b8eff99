"""NodeState and Run: all that changes while a graph runs.

Everything here is changed only under `run.lock`, except: a node's own fields while it is being run (by the one thread
that runs it), `run.ready` (a deque, whose ends are atomic), and what `run.pool_lock` guards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeAlias

from engine.authoring.context import PreviewMethod
from engine.cache.actions import Expansion, SlotDigests
from engine.cache.digests import Digest
from engine.cache.facade import Cache
from engine.cache.memory import Stored
from engine.execute.cancel import CancelToken
from engine.execute.documents import Documents
from engine.execute.events import NodeFailed, Sink
from engine.execute.facts import SpecFacts
from engine.execute.growth import Growth
from engine.execute.host import RunHost
from engine.execute.phases import PLANNING
from engine.execute.result import RunResult
from engine.execute.services import Services
from engine.execute.telling import Telling
from engine.graph.prompt import Node, Prompt

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

    __slots__ = ("calls", "passing", "stash", "uses")

    def __init__(self, calls: tuple[Expansion, ...], stash: dict[Digest, Stored], passing: bool) -> None:
        self.calls = calls
        self.stash = stash
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


class Run:
    """One call of `Executor.run`."""

    def __init__(
        self,
        executor: RunHost[Run],
        prompt: Prompt,
        loop: asyncio.AbstractEventLoop,
        sink: Sink | None,
        cancel: CancelToken,
        documents: Documents,
    ) -> None:
        self.executor = executor
        self.cache: Cache = executor.cache
        self.services: Services = executor.services
        self.prompt = prompt
        self.loop = loop
        self.cancel = cancel
        self.preview_method: PreviewMethod = "none"
        self.documents = documents
        self.telling = Telling(sink, cancel)
        self.emit = self.telling.emit
        self.started = time.perf_counter()
        self.nonce = os.urandom(16)
        self.lock = threading.Lock()
        self.states: dict[str, NodeState] = {}
        self.fresh: list[NodeState] = []
        """States whose links are not yet followed."""
        self.queue: deque[NodeState] = deque()
        """States to settle."""
        self.found_ready: list[NodeState] = []
        self.ready: deque[Any] = deque()
        """Work for threads: states to start, and calls to make (what coroutines gave, what they ask for)."""
        self.leaders: dict[bytes, NodeState] = {}
        self.followers: dict[str, list[NodeState]] = {}
        self.expanded: dict[str, Inner] = {}
        """Nodes that expansions added."""
        self.growth = Growth()
        self.shown_bytes = 0
        """Of all that its nodes showed."""
        self.errand_owners: dict[NodeState, NodeState] = {}
        self.remade: set[str] = set()
        self.cached_at_start: list[NodeState] = []
        self.failures: list[NodeFailed] = []
        self.wanted: list[str] = []
        """Nodes whose output values the caller wants; each counts as one use."""
        self.kept: dict[str, list[Held]] = {}
        """The values of those of them that are collected."""
        self.pool_lock = threading.Lock()
        self.workers = 0
        self.coroutines = 0
        self.over = False
        self.steps = 0
        """Counts what threads did, so that the watch sees whether they are stuck."""
        self.steps_seen = -1
        self.tasks: set[asyncio.Task[None]] = set()
        self.finished: asyncio.Future[None] = loop.create_future()
        self.crash: BaseException | None = None
        self.broken_off_by: NodeState | None = None
        """The async node whose error ended the others."""
        self.result: RunResult

    def post(self, step: Callable[[], None]) -> None:
        """Have a thread call `step`; from any thread."""
        self.ready.append(step)
        self.wake()

    def wake(self) -> None:
        """Have one more thread work on this run, if there may be more."""
        with self.pool_lock:
            if self.over or self.workers >= self.executor.max_threads:
                return
            self.workers += 1
        self.executor.submit(self)

    def leave(self) -> bool:
        """A thread found nothing to do; False when there is something after all."""
        with self.pool_lock:
            if self.ready and not self.cancel.cancelled:
                return False
            self.workers -= 1
            idle = not self.workers
        if idle:
            self.executor.idle(self)
        return True

    def crashed(self, error: BaseException) -> None:
        """A thread met an error that is no node's: end the run."""
        self.crash = self.crash or error
        self.cancel.cancel()
        self.ready.clear()
        self.leave()

    def begin_coroutine(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run an async node on the event loop."""
        with self.pool_lock:
            self.coroutines += 1
        self.call_loop(self._spawn, coroutine)

    def call_loop(self, function: Callable[..., None], *values: Any) -> None:
        """Call `function` on the event loop; nothing happens when that is gone already (a second Ctrl-C)."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *values)

    def cancel_coroutines(self) -> None:
        """Cancel every async node; from any thread."""
        self.call_loop(self._cancel_tasks)

    def break_off(self, failed: NodeState) -> None:
        """End the async nodes that run, as one of them failed; from any thread."""
        self.broken_off_by = self.broken_off_by or failed
        self.cancel_coroutines()

    def free_memory(self) -> None:
        """Let go of models and values that nobody uses."""
        self.cache.trim()
        free = getattr(self.services.models, "free", None)
        if free is not None:
            free()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        if self.cancel.cancelled:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        with self.pool_lock:
            self.coroutines -= 1
            self.workers += 1
        self.executor.submit(self)

    def _cancel_tasks(self) -> None:
        for task in self.tasks:
            task.cancel()
