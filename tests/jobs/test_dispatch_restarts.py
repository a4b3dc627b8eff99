"""Servers that end, on purpose or not: what becomes of the jobs that ran and waited."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.jobs.records import MAX_LOSSES
from tests.jobs.house import House, live


def test_jobs_that_waited_or_ran_when_the_server_ended_run_after_the_restart(tmp_path: Path) -> None:
    async def before(house: House) -> None:
        for name in ("a", "b", "c"):
            await house.accept(name)
        house.start()
        house.finish()
        house.start()  # b runs, c waits

    async def after(house: House) -> None:
        assert house.workers[0].jobs() == ["b"]
        for _ in range(2):
            house.start()
            house.finish()
        assert await house.history() == [("a", "done"), ("b", "done"), ("c", "done")]

    live(tmp_path, before)
    live(tmp_path, after)


def test_a_restart_of_the_server_costs_the_job_no_attempt(tmp_path: Path) -> None:
    async def start(house: House) -> None:
        if not house.workers[0].jobs():
            await house.accept("a")
        house.start()

    for _ in range(MAX_LOSSES - 1):
        live(tmp_path, start)

    async def crash(house: House) -> None:
        house.start()
        house.lose()
        assert "a" in house.dispatcher.queue

    live(tmp_path, crash)


def test_a_job_under_which_the_server_ends_again_and_again_fails_with_the_reason(tmp_path: Path) -> None:
    async def start(house: House) -> None:
        if not house.workers[0].jobs():
            await house.accept("a")
            await house.accept("b")
        house.start()

    for _ in range(MAX_LOSSES):
        house = live(tmp_path, start)
        assert house.workers[0].jobs() == ["a"]

    async def after(house: House) -> None:
        assert house.workers[0].jobs() == ["b"], "the others go on"
        assert await house.history() == [("a", "failed")]
        assert f"The server ended {MAX_LOSSES} times while this job ran" in house.log[0][1]

    live(tmp_path, after)


def test_a_server_that_was_told_to_end_is_not_lost_by_its_job_however_often(tmp_path: Path) -> None:
    async def begin(house: House) -> None:
        await house.accept("a")

    async def ended(house: House) -> None:
        house.start()
        await house.dispatcher.drain(0)  # and then it is killed, as whoever ended it would not wait

    live(tmp_path, begin)
    for _ in range(2 * MAX_LOSSES):
        live(tmp_path, ended)

    async def after(house: House) -> None:
        assert house.workers[0].jobs() == ["a"]
        assert house.dispatcher.running["a"].job.losses == 0

    live(tmp_path, after)


def test_a_drain_lets_the_running_job_end_and_keeps_the_rest(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for name in ("a", "b"):
            await house.accept(name)
        house.start()
        drain = asyncio.create_task(house.dispatcher.drain(5))
        await asyncio.sleep(0.02)
        house.finish()
        await drain
        assert house.workers[0].jobs() == ["a"]
        assert await house.history() == [("a", "done")]

    live(tmp_path, story)

    async def after(house: House) -> None:
        assert house.workers[0].jobs() == ["b"]

    live(tmp_path, after)


def test_a_job_that_the_end_of_the_server_interrupts_waits_for_the_next_start(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        house.start()
        await house.dispatcher.drain(0)
        house.finish(status="cancelled")  # the worker was told to end
        assert await house.history() == []

    live(tmp_path, story)

    async def after(house: House) -> None:
        assert house.workers[0].jobs() == ["a"]

    live(tmp_path, after)


def test_what_clients_have_used_is_known_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("engine.jobs.dispatch.time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))

    def run(house: House, seconds: float) -> None:
        house.start()
        now[0] += seconds
        house.finish()

    async def before(house: House) -> None:
        for client in "ab":
            for number in range(1, 5):
                await house.accept(f"{client}{number}", client_id=client)
        run(house, 10.0)
        run(house, 1.0)
        house.start()
        assert house.workers[0].jobs() == ["a1", "b1", "b2"]
        assert [job.id for job in house.dispatcher.queue] == ["b3", "b4", "a2", "a3", "a4"]

    async def after(house: House) -> None:
        for _ in range(6):
            run(house, 1.0)
        assert house.workers[0].jobs() == ["b2", "b3", "b4", "a2", "a3", "a4"]

    live(tmp_path, before)
    live(tmp_path, after)


def test_who_comes_after_a_restart_has_no_turns_to_make_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("engine.jobs.dispatch.time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))

    async def before(house: House) -> None:
        await house.accept("a1", client_id="a")
        house.start()
        now[0] += 3600.0
        house.finish()

    async def after(house: House) -> None:
        await house.dispatcher.pause(True)
        for client in "ab":
            for number in range(2, 4):
                await house.accept(f"{client}{number}", client_id=client)
        assert [job.id for job in house.dispatcher.queue] == ["a2", "b2", "a3", "b3"]

    live(tmp_path, before)
    live(tmp_path, after)
