"""Run: one call of the executor, and all that changes while it goes on.

Everything here is changed only under `Run.lock`, except what `Run.crew` and `Run.async_nodes` guard themselves.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from engine.authoring.context import PreviewMethod
from engine.cache.facade import Cache
from engine.execute.agenda import Agenda
from engine.execute.async_nodes import AsyncNodes
from engine.execute.cancel import CancelToken
from engine.execute.crew import Crew
from engine.execute.documents import Documents
from engine.execute.events import NodeFailed, Sink
from engine.execute.growth import Growth
from engine.execute.host import RunHost
from engine.execute.result import RunResult
from engine.execute.services import Services
from engine.execute.state import Held, Inner, NodeState
from engine.execute.telling import Telling
from engine.graph.loops import Loops
from engine.graph.prompt import Prompt


def _no() -> bool:
    return False


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
        self.credentials: Callable[[], bool] = _no
        """Whether the request asks for content credentials in what is saved."""
        self.origins: dict[str, Any] = {}
        """Where what a node saves comes from, once that was asked."""
        self.documents = documents
        self.telling = Telling(sink, cancel)
        self.emit = self.telling.emit
        self.crew = Crew(executor.max_threads, cancel)
        self.async_nodes = AsyncNodes(loop, cancel)
        self.agenda = Agenda()
        self.started = time.perf_counter()
        self.nonce = os.urandom(16)
        self.lock = threading.Lock()
        self.states: dict[str, NodeState] = {}
        self.expanded: dict[str, Inner] = {}
        """Nodes that expansions added."""
        self.growth = Growth()
        self.loops: Loops | None = None
        """Those of the submitted graph, once a node asked for them."""
        self.shown_bytes = 0
        """Of all that its nodes showed."""
        self.errand_owners: dict[NodeState, NodeState] = {}
        self.remade: set[str] = set()
        self.failures: list[NodeFailed] = []
        self.wanted: list[str] = []
        """Nodes whose output values the caller wants; each counts as one use."""
        self.kept: dict[str, list[Held]] = {}
        """The values of those of them that are collected."""
        self.finished: asyncio.Future[None] = loop.create_future()
        self.watched: asyncio.TimerHandle | None = None
        """When the watch looks next."""
        self.crash: BaseException | None = None
        self.result: RunResult

    def post(self, step: Callable[[], None]) -> None:
        """Have a thread call `step`; from any thread."""
        self.crew.ready.append(step)
        self.wake()

    def wake(self) -> None:
        """Have one more thread work on this run, if there may be more."""
        if self.crew.join():
            self.executor.submit(self)

    def leave(self) -> bool:
        """A thread found nothing to do; False when there is something after all."""
        staying = self.crew.leave()
        if staying is None:
            return False
        if not staying:
            self.executor.idle(self)
        return True

    def crashed(self, error: BaseException) -> None:
        """A thread met an error that is no node's: end the run."""
        self.crash = self.crash or error
        self.cancel.cancel()
        self.crew.ready.clear()
        self.leave()

    def begin_coroutine(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run an async node on the event loop."""
        self.crew.begin_coroutine()
        self.async_nodes.begin(coroutine, self._coroutine_ended)

    def free_memory(self) -> None:
        """Let go of models and values that nobody uses."""
        self.cache.trim()
        free = getattr(self.services.models, "free", None)
        if free is not None:
            free()

    def _coroutine_ended(self) -> None:
        self.crew.coroutine_ended()
        self.executor.submit(self)
