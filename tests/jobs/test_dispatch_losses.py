"""Workers that are lost: which jobs run again, and which fail."""

from __future__ import annotations

from pathlib import Path

from tests.jobs.house import House, live


def test_a_job_whose_worker_dies_runs_again_once_and_then_fails_with_the_reason(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        house.start()
        house.lose()
        assert "a" in house.dispatcher.queue
        house.come_back()
        assert house.workers[0].jobs() == ["a", "a"]
        house.start()
        house.lose()
        assert await house.history() == [("a", "failed")]

    house = live(tmp_path, story)
    assert ("a", "retried: Worker 0 was killed.") in house.log
    assert ("a", "failed: Worker 0 was killed. That was attempt 2 of 2.") in house.log


def test_a_worker_that_makes_room_for_another_costs_its_job_no_attempt(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        for _ in range(3):
            house.start()
            house.workers[0].replaced = True
            house.lose()
            house.workers[0].replaced = False
            house.come_back()
        house.start()
        house.lose()
        assert "a" in house.dispatcher.queue, "the first attempt that it is to blame for"
        house.come_back()
        house.start()
        house.lose()
        assert await house.history() == [("a", "failed")]

    live(tmp_path, story)


def test_a_worker_that_dies_before_the_job_began_costs_no_attempt(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        for _ in range(5):
            house.lose()
            house.come_back()
        house.start()
        house.finish()
        assert await house.history() == [("a", "done")]

    live(tmp_path, story)


def test_a_retried_job_keeps_its_place(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for name in ("a", "b"):
            await house.accept(name)
        house.start()
        house.lose()
        house.come_back()
        assert house.workers[0].jobs() == ["a", "a"]

    live(tmp_path, story)


def test_a_worker_that_was_told_to_end_costs_its_job_no_attempt(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        for _ in range(5):
            house.start()
            house.finish(status="cancelled")  # SIGTERM: it lets go of the job
        assert house.dispatcher.running["a"].job.attempts == 0
        house.start()
        house.finish()
        assert await house.history() == [("a", "done")]

    live(tmp_path, story)
