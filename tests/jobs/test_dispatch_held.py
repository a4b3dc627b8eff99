"""Jobs whose packs are not loaded."""

from __future__ import annotations

from pathlib import Path

from engine.jobs.messages import JobRefused
from tests.jobs.house import House, live


def refuse(house: House, reason: str = "There is no node type 'X' here now.") -> None:
    ear = house.workers[0]
    house.dispatcher.on_message(ear, JobRefused(ear.job.job.id, reason))


def test_a_job_whose_pack_is_not_loaded_waits_is_told_why_and_others_pass(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for name in ("a", "b"):
            await house.accept(name)
        refuse(house)
        assert house.log == [("a", "held: There is no node type 'X' here now.")]
        assert house.workers[0].jobs() == ["a", "b"]
        [waiting] = house.dispatcher.queue
        assert (waiting.id, waiting.held, waiting.attempts) == ("a", "There is no node type 'X' here now.", 0)
        house.start()
        house.finish()
        assert house.workers[0].jobs() == ["a", "b"], "the same process need not be asked again"
        house.lose()
        house.workers[0].pid = 101
        house.come_back()
        assert house.workers[0].jobs() == ["a", "b", "a"]
        house.start()
        house.finish()
        assert await house.history() == [("b", "done"), ("a", "done")]

    live(tmp_path, story)


def test_a_hundred_jobs_that_wait_for_a_pack_hold_up_nobody(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for index in range(100):
            await house.accept(f"held {index}")
            refuse(house)
        await house.accept("b")
        assert house.workers[0].jobs()[-1] == "b"
        house.start()
        house.finish()
        assert len(house.dispatcher.queue) == 100
        assert house.workers[0].job is None

    live(tmp_path, story)


def test_a_job_that_is_cancelled_before_it_is_refused_is_cancelled(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        house.dispatcher.cancel("a")
        refuse(house)
        assert await house.history() == [("a", "cancelled")]

    live(tmp_path, story)
