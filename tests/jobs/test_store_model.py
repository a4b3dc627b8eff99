"""Random operations on a store and on a dict that does what the store should; both must agree at every step."""

from __future__ import annotations

import asyncio
import random

import pytest

from engine.jobs.records import UNFINISHED, Job, Outcome
from engine.jobs.store import JobStore
from engine.jobs.store_errors import DuplicateJobError


class Model:
    """What ought to be stored: id → job, ended ones with their end."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[int, float, str, int, float | None]] = {}
        self.last = 0
        self.ends: dict[str, int] = {}
        """In which order jobs ended."""

    def put(self, job: Job) -> None:
        if self.jobs.get(job.id, (0, 0.0, "gone"))[2] in UNFINISHED:
            self.jobs[job.id] = (job.sequence, job.number, job.status, job.attempts, job.ended)

    def accept(self, job: Job) -> None:
        self.jobs[job.id] = (job.sequence, job.number, job.status, job.attempts, job.ended)

    def queue(self) -> list[str]:
        waiting = [
            (number, sequence, id) for id, (sequence, number, status, *_) in self.jobs.items() if status in UNFINISHED
        ]
        return [id for *_, id in sorted(waiting)]

    def history(self) -> list[str]:
        return sorted((id for id in self.jobs if id in self.ends), key=self.ends.__getitem__)

    def end(self, job: Job, outcome: Outcome) -> None:
        if self.jobs.get(job.id, (0, 0.0, "gone"))[2] in UNFINISHED:
            self.jobs[job.id] = (job.sequence, job.number, outcome.status, job.attempts, outcome.ended)
            self.ends[job.id] = max(self.ends.values(), default=0) + 1


async def agrees(store: JobStore, model: Model) -> None:
    entries = await store.history()
    assert [entry.job.id for entry in entries] == model.history()
    for entry in entries:
        job = entry.job
        assert (job.sequence, job.number, job.status, job.attempts, job.ended) == model.jobs[job.id]


@pytest.mark.parametrize("seed", range(12))
def test_random_operations_leave_what_a_dict_has(tmp_path, new_job, new_outcome, seed):
    source = random.Random(seed)

    async def scenario() -> None:
        store, model = JobStore(tmp_path / "jobs.db"), Model()
        live: dict[str, Job] = {job.id: job for job in await store.open()}

        async def accept() -> None:
            jobs = [new_job(store.next_sequence + place, number=source.choice([-1.0, 0.0, 3.0])) for place in range(3)]
            if model.jobs and source.random() < 0.3:
                jobs[1].id = source.choice(list(model.jobs))
            again = {job.id for job in jobs} & set(model.jobs)
            model.last = jobs[-1].sequence
            if again:
                with pytest.raises(DuplicateJobError):
                    await store.accept(jobs)
                return
            await store.accept(jobs)
            for job in jobs:
                model.accept(job)
                live[job.id] = job

        async def change() -> None:
            for job in source.sample(list(live.values()), min(len(live), 4)):
                job.number = source.random()
                job.status = source.choice(UNFINISHED)
                job.attempts += job.status == "running"
                (store.began if job.status == "running" else store.requeued)(job)
                model.put(job)

        async def move() -> None:
            jobs = source.sample(list(live.values()), min(len(live), 3))
            for job in jobs:
                job.number -= 1
                model.put(job)
            store.moved(jobs)

        async def finish() -> None:
            jobs = source.sample(list(live.values()), min(len(live), 3))
            waits = []
            for job in jobs:
                outcome = new_outcome(source.randrange(5), status=source.choice(["done", "failed", "cancelled"]))
                waits.append(store.finish(job, outcome))
                model.end(job, outcome)
                if source.random() < 0.7:  # else: late words about a job that has ended
                    del live[job.id]
            await asyncio.gather(*waits)

        async def delete() -> None:
            ids = source.sample(list(model.jobs), min(len(model.jobs), 3))
            await store.delete_history(ids)
            for id in set(ids) & set(model.history()):
                del model.jobs[id]
                live.pop(id, None)

        async def clear() -> None:
            await store.clear_history()
            for id in model.history():
                del model.jobs[id]
                live.pop(id, None)

        async def reopen() -> None:
            nonlocal store
            await store.close()
            store = JobStore(tmp_path / "jobs.db")
            found = await store.open()
            assert [job.id for job in found] == model.queue()
            for job in found:
                assert (job.sequence, job.number, job.status, job.attempts, job.ended) == model.jobs[job.id]
            live.clear()
            live.update((job.id, job) for job in found)
            assert store.next_sequence >= 1 + max((job[0] for job in model.jobs.values()), default=0)

        steps = [accept] * 6 + [change] * 4 + [move] * 2 + [finish] * 6 + [delete] * 2 + [clear, reopen]
        for _ in range(60):
            await source.choice(steps)()
            if source.random() < 0.4:
                await agrees(store, model)
        await reopen()
        await agrees(store, model)
        await store.close()

    asyncio.run(scenario())
