"""Asking a worker what only the packs' own code knows. Lives on the server's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.graph.schema import NodeSpec
from engine.jobs.inspections import NoWorkerError
from engine.jobs.messages import CheckedPrompt, CheckPrompt, FromWorker, NodesRefreshed, RefreshNodes
from engine.jobs.workers import Worker

PATIENCE: Final = 30.0
"""Seconds that an answer may take: packs are imported before it, or a node of a running job holds the worker for a while."""


class PackCalls:
    """Questions that wait for an answer. `workers` gives those that there are."""

    def __init__(self, workers: Callable[[], Sequence[Worker]]) -> None:
        self._workers = workers
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._state = ""

    async def check(self, prompt: bytes, targets: Any, posted: bytes | None) -> CheckedPrompt:
        """A prompt checked by the packs too. Raises NoWorkerError."""
        wanted = targets if targets is None or _are_texts(targets) else []
        found: CheckedPrompt = await self._ask(CheckPrompt(0, prompt, wanted, posted), PATIENCE)
        return found

    async def refresh(self, patience: float) -> list[NodeSpec]:
        """The nodes whose choices may have changed since they were last asked. Raises NoWorkerError."""
        found: NodesRefreshed = await self._ask(RefreshNodes(0, self._state), patience)
        self._state = found.state
        return found.specs

    def on_message(self, worker: Worker, message: FromWorker) -> None:
        """A worker said something."""
        if isinstance(message, CheckedPrompt | NodesRefreshed):
            waiting = self._waiting.pop(message.request, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    async def _ask(self, message: CheckPrompt | RefreshNodes, patience: float) -> Any:
        worker = await self._usable(patience)
        self._last += 1
        message.request = self._last
        future = self._waiting[message.request] = asyncio.get_running_loop().create_future()
        worker.send(message)
        try:
            return await asyncio.wait_for(future, patience)
        except TimeoutError:
            raise NoWorkerError("The worker is busy and did not answer in time. Try again in a few seconds.") from None
        finally:
            self._waiting.pop(message.request, None)

    async def _usable(self, patience: float) -> Worker:
        """A worker, an idle one if there is one; waits for one that is being started."""
        end = asyncio.get_running_loop().time() + patience
        while True:
            found = [worker for worker in self._workers() if worker.usable]
            if found:
                return min(found, key=lambda worker: worker.job is not None)
            if asyncio.get_running_loop().time() >= end:
                raise NoWorkerError("No worker is ready. Try again in a few seconds.")
            await asyncio.sleep(0.02)


def _are_texts(targets: Any) -> bool:
    return isinstance(targets, list) and all(isinstance(one, str) for one in targets)
