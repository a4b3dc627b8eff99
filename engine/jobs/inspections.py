"""Asking workers what travelled on a link. Lives on the server's event loop."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from engine.jobs.messages import FromWorker, Inspect, Inspected, JobStarted
from engine.jobs.workers import Worker

PATIENCE: Final = 20.0
"""Seconds that an answer may take: a node of a running job can hold the worker for a while."""

JOBS: Final = 1_000
"""Of so many jobs it is remembered which worker ran them."""


class NoWorkerError(Exception):
    """No worker is there, or none answered in time."""


class Asked(NamedTuple):
    """Which value is asked for."""

    job: str
    node: str
    slot: int
    item: int = 0
    picture: bool = False


class Graph(NamedTuple):
    """The graph of a job, as it was checked for running."""

    checked: bytes
    outputs: tuple[str, ...]


class Inspections:
    """Questions that wait for an answer. `workers` gives those that there are."""

    def __init__(self, workers: Callable[[], Sequence[Worker]]) -> None:
        self._workers = workers
        self._ran_by: OrderedDict[str, int] = OrderedDict()
        self._waiting: dict[int, asyncio.Future[Inspected]] = {}
        self._last = 0

    async def ask(self, asked: Asked, graph: Callable[[], Awaitable[Graph]]) -> Inspected:
        """The answer of the worker that ran the job, or of another one; `graph` is called when it has forgotten the job.

        Raises NoWorkerError, and what `graph` raises.
        """
        worker = self._worker_for(asked.job)
        answer = await self._ask(worker, Inspect(0, *asked))
        if answer.result == "unknown_job":
            found = await graph()
            answer = await self._ask(worker, Inspect(0, *asked, checked=found.checked, outputs=found.outputs))
        return answer

    def on_message(self, worker: Worker, message: FromWorker) -> None:
        """A worker said something."""
        if type(message) is JobStarted:
            self._ran_by[message.job] = worker.index
            self._ran_by.move_to_end(message.job)
            if len(self._ran_by) > JOBS:
                self._ran_by.popitem(last=False)
        elif type(message) is Inspected:
            waiting = self._waiting.pop(message.request, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    async def _ask(self, worker: Worker, message: Inspect) -> Inspected:
        self._last += 1
        message.request = self._last
        future = self._waiting[message.request] = asyncio.get_running_loop().create_future()
        worker.send(message)
        try:
            return await asyncio.wait_for(future, PATIENCE)
        except TimeoutError:
            raise NoWorkerError(
                "The worker is busy and did not answer in time. Try again when the node is done."
            ) from None
        finally:
            self._waiting.pop(message.request, None)

    def _worker_for(self, job: str) -> Worker:
        """The worker that ran the job, for it has the values in memory; else any, for they share the cache on disk."""
        usable = [worker for worker in self._workers() if worker.usable]
        if not usable:
            raise NoWorkerError("No worker is ready. Try again in a few seconds.")
        index = self._ran_by.get(job)
        return next((worker for worker in usable if worker.index == index), usable[0])
