"""Which worker is asked for a value, and what becomes of answers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from engine.jobs import inspections
from engine.jobs.inspections import Asked, Graph, Inspections, NoWorkerError
from engine.jobs.messages import Inspected, JobStarted


class Ear:
    house: Inspections

    def __init__(self, index: int) -> None:
        self.index, self.usable, self.heard = index, True, []
        self.results: list[str] = []

    def send(self, message: Any) -> None:
        self.heard.append(message)
        if self.results:
            answer = Inspected(message.request, self.results.pop(0), b"{}")
            asyncio.get_running_loop().call_soon(self.house.on_message, self, answer)


def house(*workers: Ear) -> Inspections:
    made = Inspections(lambda: workers)
    for one in workers:
        one.house = made
    return made


async def no_graph() -> Graph:
    raise AssertionError("not asked for")


def test_the_worker_that_ran_the_job_is_asked_and_any_other_when_it_is_gone() -> None:
    async def story() -> None:
        first, second = Ear(0), Ear(1)
        asked = house(first, second)
        asked.on_message(second, JobStarted("job"))
        second.results, first.results = ["found"], ["found"]
        assert (await asked.ask(Asked("job", "1", 0), no_graph)).result == "found"
        assert (len(first.heard), len(second.heard)) == (0, 1)
        second.usable = False
        await asked.ask(Asked("job", "1", 0), no_graph)
        assert (len(first.heard), len(second.heard)) == (1, 1)

    asyncio.run(story())


def test_a_worker_that_has_forgotten_the_job_is_given_its_graph() -> None:
    async def story() -> None:
        worker = Ear(0)
        asked = house(worker)
        worker.results = ["unknown_job", "found"]

        async def graph() -> Graph:
            return Graph(b"graph", ("9",))

        assert (await asked.ask(Asked("job", "1", 2, item=3), graph)).result == "found"
        first, second = worker.heard
        assert (first.checked, second.checked, second.outputs) == (None, b"graph", ("9",))
        assert (second.node, second.slot, second.item) == ("1", 2, 3)
        assert first.request != second.request

    asyncio.run(story())


def test_without_a_worker_or_an_answer_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspections, "PATIENCE", 0.01)

    async def story() -> None:
        with pytest.raises(NoWorkerError, match="No worker is ready"):
            await house().ask(Asked("job", "1", 0), no_graph)
        with pytest.raises(NoWorkerError, match="did not answer in time"):
            await house(Ear(0)).ask(Asked("job", "1", 0), no_graph)

    asyncio.run(story())


def test_so_many_jobs_are_remembered_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspections, "JOBS", 2)
    asked = house()
    for job in "abac":
        asked.on_message(SimpleNamespace(index=1), JobStarted(job))  # type: ignore[arg-type]
    assert list(asked._ran_by) == ["a", "c"]
