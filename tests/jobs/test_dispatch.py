"""The dispatcher: which job runs where and when, and what is told of it."""

from __future__ import annotations

from pathlib import Path

from engine.jobs.messages import FreeMemory
from tests.jobs.house import House, live


def test_jobs_run_one_after_the_other_and_end_in_the_history(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        await house.accept("b")
        assert house.workers[0].jobs() == ["a"]
        house.start()
        house.finish()
        assert house.workers[0].jobs() == ["a", "b"]
        house.start()
        house.finish(status="failed")
        assert await house.history() == [("a", "done"), ("b", "failed")]
        assert house.dispatcher.remaining == 0

    house = live(tmp_path, story)
    assert [what for name, what in house.log if name == "a"] == ["started", "done", "recorded"]


def test_clients_are_told_the_end_only_when_the_history_has_it(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        house.start()
        house.finish()
        assert ("a", "recorded") not in house.log
        assert [job.id for job in house.dispatcher.active()] == ["a"], "until then it is still in the queue"
        await house.dispatcher.settled()
        assert ("a", "recorded") in house.log

    live(tmp_path, story)


def test_no_more_jobs_are_told_to_run_than_there_are_workers(tmp_path: Path) -> None:
    """Clients that know of one running job at most fail otherwise, while the end of one is written and the next has begun."""

    def told(house: House) -> tuple[list[str], list[str]]:
        running, waiting = house.dispatcher.listed()
        return [job.id for job in running], [job.id for job in waiting]

    async def one(house: House) -> None:
        for name in "abc":
            await house.accept(name)
        assert told(house) == (["a"], ["b", "c"])
        house.start()
        house.finish()
        assert house.workers[0].jobs() == ["a", "b"]
        assert told(house) == (["a"], ["b", "c"]), "b runs already, but a is not yet in the history"
        await house.dispatcher.settled()
        assert told(house) == (["b"], ["c"])
        house.lose()
        house.workers.clear()
        assert told(house) == ([], ["b", "c"])

    async def two(house: House) -> None:
        for name in "abc":
            await house.accept(name)
        assert told(house) == (["a", "b"], ["c"])

    live(tmp_path / "one", one)
    live(tmp_path / "two", two, workers=2)


def test_several_workers_run_several_jobs_at_once(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for name in ("a", "b", "c"):
            await house.accept(name)
        assert [ear.jobs() for ear in house.workers] == [["a"], ["b"]]
        house.start(1)
        house.finish(1)
        assert house.workers[1].jobs() == ["b", "c"]

    live(tmp_path, story, workers=2)


def test_a_job_goes_to_the_worker_that_holds_its_model(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        house.workers[0].models = {"checkpoints/x"}
        house.workers[1].models = {"checkpoints/y", "loras/z"}
        await house.accept("wants y", models=("checkpoints/y",))
        await house.accept("wants x", models=("checkpoints/x",))
        assert [ear.jobs() for ear in house.workers] == [["wants x"], ["wants y"]]

    live(tmp_path, story, workers=2)


def test_a_job_may_pass_one_that_waits_for_a_busy_worker_but_not_for_ever(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        house.workers[0].models = {"checkpoints/x"}
        house.workers[1].models = {"checkpoints/y"}
        await house.accept("first x", models=("checkpoints/x",))
        await house.accept("first y", models=("checkpoints/y",))
        await house.accept("second x", models=("checkpoints/x",))
        for index in range(12):
            await house.accept(f"y{index}", models=("checkpoints/y",))
        passed = 0
        while "second x" in house.dispatcher.queue:
            house.start(1)
            house.finish(1, models=("checkpoints/y",))
            passed += 1
        assert house.workers[1].jobs()[-1] == "second x"
        assert 2 <= passed <= 9

    live(tmp_path, story, workers=2)


def test_a_job_in_front_is_never_passed(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        house.workers[0].models = {"checkpoints/x"}
        house.workers[1].models = {"checkpoints/y"}
        await house.accept("x", models=("checkpoints/x",))
        await house.accept("y", models=("checkpoints/y",))
        await house.accept("later y", models=("checkpoints/y",))
        await house.accept("front x", models=("checkpoints/x",), number=-9.0)
        house.start(1)
        house.finish(1, models=("checkpoints/y",))
        assert house.workers[1].jobs()[-1] == "front x"

    live(tmp_path, story, workers=2)


def test_memory_is_freed_on_every_worker_that_is_there(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        house.workers[1].state = "lost"
        house.dispatcher.free(True, False)
        assert house.workers[0].heard == [FreeMemory(True, False)]
        assert house.workers[1].heard == []

    live(tmp_path, story, workers=2)


def test_what_a_worker_says_of_a_job_of_another_one_is_passed_over(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a")
        house.start()
        house.say(1, "a")
        assert "a" in house.dispatcher.running
        house.say(0, "a")
        assert await house.history() == [("a", "done")]

    live(tmp_path, story, workers=2)


def test_seconds_and_nodes_of_all_jobs_are_added_up(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for name in "ab":
            await house.accept(name)
            house.start()
            house.say(0, name)
        totals = house.dispatcher.totals
        assert (totals.seconds, totals.nodes["ran"], totals.accepted) == (1.0, 2, 2)
        await house.dispatcher.settled()
        assert totals.ended["done"] == 2

    live(tmp_path, story)
