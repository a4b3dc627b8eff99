"""The dispatcher with a real store and workers that are only ears and mouths."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from engine.execute.events import Counts
from engine.jobs.dispatch import Dispatcher, workflow_of
from engine.jobs.messages import CancelJob, FreeMemory, JobFinished, JobRefused, JobStarted, RunJob, ToWorker
from engine.jobs.records import MAX_LOSSES, Job, Outcome
from engine.jobs.store import JobStore
from engine.jobs.store_errors import StoreFullError


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


# -- packs that are not loaded


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


# -- a disk that takes nothing


def test_what_the_disk_does_not_take_is_not_done_in_memory_either(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for name in ("a", "b", "c"):
            await house.accept(name)
        house.start()

        async def full(*values: Any) -> None:
            raise StoreFullError(tmp_path, 0)

        store, remove, keep = house.store, house.store.remove, house.store.set_state
        store.remove = store.set_state = full  # type: ignore[method-assign]
        for change in (house.dispatcher.remove(["b", "c"]), house.dispatcher.pause(True)):
            with pytest.raises(StoreFullError):
                await change
        assert [job.id for job in house.dispatcher.queue] == ["b", "c"]
        assert not house.dispatcher.paused
        store.remove, store.set_state = remove, keep  # type: ignore[method-assign]
        assert await house.dispatcher.remove(["b"]) == ["b"]
        house.finish()
        assert house.workers[0].jobs() == ["a", "c"]

    live(tmp_path, story)


def test_a_waiting_job_that_is_cancelled_is_recorded_so_and_one_that_is_removed_is_forgotten(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for name in ("a", "b", "c"):
            await house.accept(name)
        assert house.dispatcher.cancel("b")
        assert await house.dispatcher.remove(["c", "a", "nobody"]) == ["c"], "a runs already"
        house.start()
        house.finish()
        assert sorted(await house.history()) == [("a", "done"), ("b", "cancelled")]

    live(tmp_path, story)

    async def nothing_left(house: House) -> None:
        assert house.workers[0].jobs() == []

    live(tmp_path, nothing_left)


def test_a_pause_holds_jobs_back_over_a_restart(tmp_path: Path) -> None:
    async def pause(house: House) -> None:
        await house.dispatcher.pause(True)
        await house.accept("a")
        assert house.workers[0].jobs() == []

    async def resume(house: House) -> None:
        assert house.workers[0].jobs() == []
        await house.dispatcher.pause(False)
        assert house.workers[0].jobs() == ["a"]

    live(tmp_path, pause)
    live(tmp_path, resume)


def test_the_order_that_a_person_made_survives_a_restart(tmp_path: Path) -> None:
    async def order(house: House) -> None:
        await house.dispatcher.pause(True)
        for name in "abcd":
            await house.accept(name)
        await house.accept("e", number=-5.0)
        house.dispatcher.move(["d"], before="b")
        house.dispatcher.move(["a"])
        assert [job.id for job in house.dispatcher.queue] == ["e", "d", "b", "c", "a"]

    async def look(house: House) -> None:
        assert [job.id for job in house.dispatcher.queue] == ["e", "d", "b", "c", "a"]

    live(tmp_path, order)
    live(tmp_path, look)


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


def test_memory_is_freed_on_every_worker_that_is_there(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        house.workers[1].state = "lost"
        house.dispatcher.free(True, False)
        assert house.workers[0].heard == [FreeMemory(True, False)]
        assert house.workers[1].heard == []

    live(tmp_path, story, workers=2)


@pytest.mark.parametrize(
    ("extra", "workflow"),
    [
        (b'{"extra_pnginfo": {"workflow": {"nodes": []}}, "client_id": "a"}', b'{"nodes": []}'),
        (b'{"extra_pnginfo": {"workflow": null}}', None),
        (b'{"extra_pnginfo": {}}', None),
        (b"{}", None),
        (b'{"extra_pnginfo": 5}', None),
    ],
)
def test_the_workflow_is_taken_from_the_extra_data(extra: bytes, workflow: bytes | None) -> None:
    assert workflow_of(extra) == workflow


def test_a_worker_gets_the_workflow_of_the_job(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a", extra_data=b'{"extra_pnginfo": {"workflow": {"nodes": [1]}}}')
        assert house.workers[0].heard[0].workflow == b'{"nodes": [1]}'

    live(tmp_path, story)


def test_a_client_may_choose_how_its_job_is_previewed(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a", extra_data=b'{"preview_method": "none"}')
        await house.accept("b", extra_data=b'{"preview_method": "default"}')
        for _ in range(2):
            house.start()
            house.finish()
        assert [message.preview_method for message in house.workers[0].heard] == ["none", "auto"]

    live(tmp_path, story)


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


LONG = b'{"1": "%s"}' % (b"x" * 300_000)


async def until_heard(house: House, count: int) -> None:
    async with asyncio.timeout(10):
        while len(house.workers[0].jobs()) < count:
            await asyncio.sleep(0.001)


def test_a_long_job_is_held_on_disk_and_sent_whole(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        extra = {"preview_method": "taesd", "extra_pnginfo": {"workflow": {"id": "w" * 5000}}}
        await house.accept("a", prompt=LONG, extra_data=msgspec.json.encode(extra))
        await house.accept("b", prompt=LONG)
        [running] = house.dispatcher.active()
        assert running.extra_data == b'{"preview_method":"taesd"}', "what is short of it is held, as it is asked for"
        assert [job.prompt for job in (*house.dispatcher.active(), *house.dispatcher.queue)] == [b"{}", b"{}"]
        for count in (1, 2):
            await until_heard(house, count)
            house.start()
            house.finish()
        assert await house.history() == [("a", "done"), ("b", "done")]

    house = live(tmp_path, story)
    first, second = house.workers[0].heard
    assert [first.prompt, second.prompt] == [LONG, LONG]
    assert first.workflow == msgspec.json.encode({"id": "w" * 5000})
    assert first.preview_method == "taesd"


def test_a_long_job_that_is_cancelled_before_it_is_sent_ends_without_the_worker(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.accept("a", prompt=LONG)
        assert house.dispatcher.cancel("a")
        await house.dispatcher.settled()
        await house.accept("b")
        house.start()
        house.finish()
        assert await house.history() == [("a", "cancelled"), ("b", "done")]

    house = live(tmp_path, story)
    assert house.workers[0].jobs() == ["b"]
    assert not any(isinstance(message, CancelJob) for message in house.workers[0].heard)
