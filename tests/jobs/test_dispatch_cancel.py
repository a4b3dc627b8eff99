"""Cancelling a job that runs, also under a worker that does not heed it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.jobs.messages import CancelJob
from tests.jobs.house import House, live


def test_a_running_job_can_be_cancelled_and_only_it(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        await house.accept("b")
        house.start()
        assert house.dispatcher.cancel("a")
        assert not house.dispatcher.cancel("nobody")
        assert house.workers[0].heard[-1] == CancelJob("a")
        house.finish(status="cancelled")
        house.start()
        house.finish()
        assert await house.history() == [("a", "cancelled"), ("b", "done")]

    live(tmp_path, story)


def test_a_cancelled_job_whose_worker_dies_is_cancelled_not_tried_again(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        house.start()
        house.dispatcher.cancel("a")
        house.lose()
        assert await house.history() == [("a", "cancelled")]

    live(tmp_path, story)


def test_a_worker_that_does_not_heed_a_cancel_is_killed_once_others_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.jobs.dispatch.CANCEL_GRACE", 0.01)

    async def story(house: House) -> None:
        await house.accept("a")
        house.start()
        house.dispatcher.interrupt()
        await asyncio.sleep(0.1)
        assert not house.workers[0].killed, "nobody waits for it"
        await house.accept("b")
        await asyncio.sleep(0.1)
        assert house.workers[0].killed

    live(tmp_path, story)


def test_a_worker_that_does_not_heed_a_cancel_for_long_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.jobs.dispatch.CANCEL_GRACE", 0.01)
    monkeypatch.setattr("engine.jobs.dispatch.CANCEL_PATIENCE", 0.05)

    async def story(house: House) -> None:
        await house.accept("a")
        house.start()
        house.dispatcher.interrupt()
        await asyncio.sleep(0.2)
        assert house.workers[0].killed

    live(tmp_path, story)


def test_a_worker_is_not_killed_for_a_cancel_in_the_middle_of_its_next_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.jobs.dispatch.CANCEL_GRACE", 0.03)

    async def story(house: House) -> None:
        for name in ("a", "b", "c"):
            await house.accept(name)
        house.start()
        house.dispatcher.cancel("a")
        killer = house.dispatcher.running["a"].killer
        house.finish(status="cancelled")
        house.start()  # b runs, c waits
        assert killer is not None
        assert killer.cancelled()
        await asyncio.sleep(0.1)
        assert not house.workers[0].killed
        assert house.workers[0].job.job.id == "b"

    live(tmp_path, story)


def test_the_one_that_insists_looks_whether_it_is_still_that_job(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for name in ("a", "b", "c"):
            await house.accept(name)
        house.start()
        running = house.dispatcher.running["a"]
        house.dispatcher.cancel("a")
        house.finish(status="cancelled")
        house.start()
        house.dispatcher._insist(running)
        assert not house.workers[0].killed

    live(tmp_path, story)
