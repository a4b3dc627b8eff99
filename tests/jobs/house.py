"""A house for the dispatcher: a real store, and workers that are only ears and mouths."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from engine.execute.events import Counts
from engine.jobs.dispatch import Dispatcher
from engine.jobs.messages import JobFinished, JobStarted, RunJob, ToWorker
from engine.jobs.records import Job, Outcome
from engine.jobs.store import JobStore


class Ear:
    """A worker as the dispatcher sees it."""

    def __init__(self, index: int = 0) -> None:
        self.index = index
        self.state = "ready"
        self.models: set[str] = set()
        self.job: Any = None
        self.device = None
        self.lost_reason = ""
        self.pid = 100 + index
        self.replaced = False
        self.heard: list[Any] = []
        self.killed = False

    @property
    def usable(self) -> bool:
        return self.state in ("connected", "ready")

    def send(self, message: Any) -> None:
        self.heard.append(message)

    def send_body(self, body: bytes) -> None:
        self.heard.append(msgspec.msgpack.decode(body, type=ToWorker))

    async def sent(self, seconds: float) -> None:
        """What is said is heard at once."""

    def kill(self) -> None:
        self.killed = True

    def jobs(self) -> list[str]:
        return [message.job for message in self.heard if isinstance(message, RunJob)]


class Notes:
    """A follower that writes down what it hears."""

    def __init__(self, job: Job, log: list[tuple[str, str]]) -> None:
        self.job, self.log = job, log

    def started(self) -> None:
        self.log.append((self.job.id, "started"))

    def events(self, events: Any) -> None:
        self.log.append((self.job.id, "events"))

    def preview(self, preview: Any) -> None:
        self.log.append((self.job.id, "preview"))

    def retried(self, reason: str) -> None:
        self.log.append((self.job.id, f"retried: {reason}"))

    def held(self, reason: str) -> None:
        self.log.append((self.job.id, f"held: {reason}"))

    def ended(self, status: Any, finished: Any, reason: str) -> Outcome:
        self.log.append((self.job.id, f"{status}: {reason}" if reason else status))
        return Outcome(status=status, ended=time.time(), outputs=finished.outputs if finished else b"{}")

    def recorded(self) -> None:
        self.log.append((self.job.id, "recorded"))


class House:
    """A dispatcher with its surroundings, which can be ended and built anew on the same folder."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        self.store = JobStore(folder / "jobs.db")
        self.log: list[tuple[str, str]] = []
        self.workers = [Ear(index) for index in range(workers)]
        self.dispatcher = Dispatcher(self.store, lambda job: Notes(job, self.log), lambda: None)
        self.dispatcher.pool = SimpleNamespace(workers=self.workers)

    async def open(self) -> House:
        await self.dispatcher.load(await self.store.open())
        self.dispatcher.dispatch()
        return self

    async def accept(self, name: str, **facts: Any) -> None:
        sequence = self.store.next_sequence
        facts = {"number": float(sequence), "sequence": sequence, "prompt": b"{}", "outputs": ("1",)} | facts
        await self.dispatcher.accept(Job(id=name, checked=b"{}", **facts))

    def start(self, worker: int = 0) -> None:
        ear = self.workers[worker]
        self.dispatcher.on_message(ear, JobStarted(ear.job.job.id))

    def finish(self, worker: int = 0, status: Any = "done", models: tuple[str, ...] = ()) -> None:
        ear = self.workers[worker]
        message = JobFinished(
            job=ear.job.job.id,
            status=status,
            outputs=b"{}",
            nodes=b"{}",
            counts=Counts(),
            seconds=0.1,
            models=list(models),
        )
        self.dispatcher.on_message(ear, message)

    def lose(self, worker: int = 0) -> None:
        ear = self.workers[worker]
        ear.state, ear.lost_reason = "lost", "Worker 0 was killed."
        self.dispatcher.on_worker(ear)

    def come_back(self, worker: int = 0) -> None:
        self.workers[worker].state = "connected"
        self.dispatcher.on_worker(self.workers[worker])

    async def history(self) -> list[tuple[str, str]]:
        await self.dispatcher.settled()
        return [(entry.job.id, entry.outcome.status) for entry in await self.store.history()]

    def say(self, worker: int, job: str) -> None:
        """A worker says that it has done a job, be it its own or not."""
        facts = {"outputs": b"{}", "nodes": b"{}", "counts": Counts(ran=1), "seconds": 0.5, "models": []}
        self.dispatcher.on_message(self.workers[worker], JobFinished(job=job, status="done", **facts))


def live(folder: Path, story: Callable[[House], Awaitable[None]], workers: int = 1) -> House:
    """Run a story in a house."""
    house = House(folder, workers)

    async def run() -> None:
        await house.open()
        await story(house)
        await house.dispatcher.settled()
        await house.store.close()

    asyncio.run(run())
    return house
