from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from engine.jobs.records import HistoryEntry
from engine.jobs.store import JobStore
from engine.jobs.store_errors import DuplicateJobError, StoreError
from tests.harness import PATIENCE


def ids_of(entries: list[HistoryEntry]) -> list[str]:
    return [entry.job.id for entry in entries]


async def reopened(store: JobStore) -> tuple[JobStore, list]:
    await store.close()
    again = JobStore(store.path)
    return again, await again.open()


def test_an_accepted_job_comes_back_whole_after_a_restart(tmp_path, new_job):
    job = new_job(
        7,
        number=-2.5,
        outputs=("9", "ö"),
        models=("loras/a.safetensors",),
        client_id="c",
        workflow_id="w",
        extra_data=b'{"a": [1, 2.0]}',
    )

    async def scenario():
        store = JobStore(tmp_path / "user" / "jobs.db")
        assert await store.open() == []
        await store.accept([job])
        store, found = await reopened(store)
        await store.close()
        return found

    (found,) = asyncio.run(scenario())
    assert {name: getattr(found, name) for name in found.__struct_fields__} == {
        name: getattr(job, name) for name in job.__struct_fields__
    }


def test_unfinished_jobs_come_back_in_the_order_of_the_queue(tmp_path, new_job):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        jobs = [new_job(1), new_job(2, number=-1.0), new_job(3), new_job(4, number=1.0)]
        await store.accept(jobs)
        jobs[2].status, jobs[2].attempts, jobs[2].started = "running", 1, 5.0
        store.began(jobs[2])
        jobs[0].number = 9.0
        store.moved([jobs[0]])
        store, found = await reopened(store)
        found[2].status, found[2].started = "queued", None
        store.requeued(found[2])
        store, again = await reopened(store)
        await store.close()
        return found, again

    found, again = asyncio.run(scenario())
    assert [job.sequence for job in found] == [2, 4, 3, 1]
    assert found[2].attempts == again[2].attempts == 1
    assert [job.status for job in again] == ["queued"] * 4
    assert again[2].started is None


def test_an_ended_job_is_in_the_history_and_no_more_in_the_queue(tmp_path, new_job, new_outcome):
    job = new_job(1, attempts=1)
    outcome = new_outcome(
        50.0,
        status="failed",
        meta=b'{"1": {"node_id": "1"}}',
        messages=b'[["execution_start", {}]]',
        nodes=b'{"1": {"seconds": 1.5}}',
        error=b'{"node_id": "1"}',
        preview=b'{"filename": "a.png"}',
        outputs_count=3,
    )

    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        await store.accept([job])
        job.started = 40.0
        await store.finish(job, outcome)
        store, unfinished = await reopened(store)
        entry = await store.history_entry(job.id)
        missing = await store.history_entry("other")
        await store.close()
        return unfinished, entry, missing

    unfinished, entry, missing = asyncio.run(scenario())
    assert unfinished == []
    assert missing is None
    assert (entry.job.status, entry.job.started, entry.job.ended, entry.job.attempts) == ("failed", 40.0, 50.0, 1)
    assert entry.job.prompt == job.prompt
    assert entry.job.checked == b""
    assert {name: getattr(entry.outcome, name) for name in outcome.__struct_fields__} == {
        name: getattr(outcome, name) for name in outcome.__struct_fields__
    }


def test_a_second_end_and_late_changes_of_an_ended_job_are_ignored(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        job = new_job(1)
        await store.accept([job])
        both = store.finish(job, new_outcome(2.0)), store.finish(job, new_outcome(3.0, status="cancelled"))
        await asyncio.gather(*both)
        await store.finish(job, new_outcome(4.0, status="failed"))
        job.status = "running"
        store.began(job)
        store, unfinished = await reopened(store)
        entries = await store.history()
        await store.close()
        return unfinished, entries

    unfinished, entries = asyncio.run(scenario())
    assert unfinished == []
    assert [(entry.outcome.status, entry.outcome.ended) for entry in entries] == [("done", 2.0)]


def test_that_a_job_runs_is_on_disk_though_nothing_else_is_written_and_its_end_takes_its_place(
    tmp_path, new_job, new_outcome
):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        long, short = new_job(1), new_job(2)
        await store.accept([long, short])
        for job in (long, short):
            job.status, job.attempts, job.started = "running", 1, 5.0
            store.began(job)
        await store.finish(short, new_outcome(6.0))
        async with asyncio.timeout(PATIENCE):
            while (await store.counts())["running"] < 1:
                await asyncio.sleep(0.01)
        counts, (entry,) = await store.counts(), await store.history()
        await store.close()
        return counts, entry

    counts, entry = asyncio.run(scenario())
    assert counts == {"queued": 0, "running": 1, "done": 1, "failed": 0, "cancelled": 0}
    assert (entry.job.attempts, entry.job.started, entry.outcome.ended) == (1, 5.0, 6.0)


def test_an_id_is_accepted_once_whether_it_is_queued_or_in_the_history(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        ended, queued = new_job(1), new_job(2)
        await store.accept([ended, queued])
        await store.finish(ended, new_outcome(1.0))
        for id in (ended.id, queued.id):
            with pytest.raises(DuplicateJobError, match=id):
                await store.accept([new_job(3), new_job(4, id=id)])
        with pytest.raises(DuplicateJobError, match="twice"):
            await store.accept([new_job(5, id="twice"), new_job(6, id="twice")])
        results = await asyncio.gather(
            *(store.accept([new_job(sequence, id=f"same-{sequence % 3}")]) for sequence in range(10, 40)),
            return_exceptions=True,
        )
        counts = await store.counts()
        store, found = await reopened(store)
        await store.close()
        return results, counts, found

    results, counts, found = asyncio.run(scenario())
    assert [result for result in results if result is None] == [None] * 3
    assert {type(result) for result in results} == {type(None), DuplicateJobError}
    assert counts == {"queued": 4, "running": 0, "done": 1, "failed": 0, "cancelled": 0}
    assert [job.id for job in found][1:] == ["same-1", "same-2", "same-0"]


def test_one_write_that_cannot_be_done_does_not_spoil_those_beside_it(tmp_path, new_job):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        jobs = [new_job(sequence) for sequence in range(1, 21)]
        jobs[6].client_id = "\ud800"  # no UTF-8 for it
        jobs[13].sequence = 3
        results = await asyncio.gather(*(store.accept([job]) for job in jobs), return_exceptions=True)
        store, found = await reopened(store)
        await store.close()
        return results, found

    results, found = asyncio.run(scenario())
    assert [place for place, result in enumerate(results) if result is not None] == [6, 13]
    assert all(isinstance(results[place], StoreError) for place in (6, 13))
    assert [job.sequence for job in found] == [n for n in range(1, 21) if n not in (7, 14)]


def test_sequences_are_never_given_twice(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        assert store.next_sequence == 1
        job = new_job(41)
        await store.accept([new_job(12), job])
        await store.finish(job, new_outcome(1.0))
        await store.delete_history([job.id])
        store, _ = await reopened(store)
        found = store.next_sequence
        await store.close()
        return found

    assert asyncio.run(scenario()) == 42


def test_history_is_read_in_parts_oldest_end_first(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        jobs = [new_job(sequence, id=str(sequence)) for sequence in range(1, 8)]
        await store.accept(jobs)
        for ended, job in enumerate(reversed(jobs[:6])):
            await store.finish(job, new_outcome(float(9 - ended)))  # by a clock that runs backwards
        parts = [
            ids_of(await store.history(**which))
            for which in (
                {},
                {"max_items": 2},
                {"max_items": 2, "offset": -1},
                {"max_items": 2, "offset": 1},
                {"offset": 4},
                {"offset": 99},
                {"max_items": 0},
                {"max_items": -3},
            )
        ]
        await store.delete_history(["6", "7", "no such"])
        left = ids_of(await store.history())
        await store.clear_history()
        rest = await store.history()
        store, queued = await reopened(store)
        await store.close()
        return parts, left, rest, queued

    parts, left, rest, queued = asyncio.run(scenario())
    whole = ["6", "5", "4", "3", "2", "1"]
    assert parts == [whole, ["2", "1"], ["2", "1"], ["5", "4"], ["2", "1"], [], [], whole]
    assert left == ["5", "4", "3", "2", "1"]
    assert rest == []
    assert [job.id for job in queued] == ["7"]


def test_lists_are_short_sorted_and_filtered(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        seconds = {"a": 5.0, "b": 1.0, "c": 3.0, "d": 2.0}
        statuses = {"a": "done", "b": "failed", "c": "done", "d": "cancelled"}
        for sequence, (id, took) in enumerate(seconds.items(), 1):
            job = new_job(sequence, id=id, workflow_id="odd" if sequence % 2 else None)
            await store.accept([job])
            job.started = 100.0
            await store.finish(job, new_outcome(100.0 + took, status=statuses[id], preview=b"{}", outputs_count=2))
        await store.accept([new_job(9)])
        every = ("done", "failed", "cancelled", "queued")

        async def page(which=every, **options):
            entries, total = await store.finished(which, **{"limit": 10, "offset": 0, **options})
            return "".join(ids_of(entries)), total

        pages = [
            await page(),
            await page(descending=False, limit=2, offset=1),
            await page(sort="execution_duration"),
            await page(["done"], sort="execution_duration", descending=False),
            await page(workflow_id="odd"),
            await page(without=["d", *map(str, range(40_000))]),  # more than a statement has parameters
            await page([]),
        ]
        (entry, *_), _ = await store.finished(every, limit=1, offset=0)
        await store.close()
        return pages, entry

    pages, entry = asyncio.run(scenario())
    assert pages == [("dcba", 4), ("bc", 4), ("acdb", 4), ("ca", 2), ("ca", 2), ("cba", 3), ("", 0)]
    assert (entry.job.prompt, entry.outcome.outputs, entry.outcome.messages) == (b"", b"{}", b"[]")
    assert (entry.outcome.preview, entry.outcome.outputs_count, entry.job.outputs) == (b"{}", 2, ("1",))


def test_only_the_newest_entries_are_kept(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db", history_limit=5)
        await store.open()
        jobs = [new_job(sequence) for sequence in range(1, 31)]
        await store.accept([*jobs, new_job(31)])
        for job in jobs:
            await store.finish(job, new_outcome(float(job.sequence)))
        while (await store.counts())["done"] > 5:
            await asyncio.sleep(0.005)
        entries = await store.history()
        counts = await store.counts()
        await store.close()
        return entries, counts

    entries, counts = asyncio.run(scenario())
    assert [entry.job.sequence for entry in entries] == [26, 27, 28, 29, 30]
    assert counts["queued"] == 1


def test_a_cleared_history_gives_its_room_back_to_the_disk(tmp_path, new_job, new_outcome):
    path = tmp_path / "jobs.db"
    long = b'{"1": "%s"}' % (b" " * 200_000)

    async def scenario():
        store = JobStore(path)
        await store.open()
        jobs = [new_job(sequence, prompt=long) for sequence in range(1, 61)]
        await store.accept(jobs)
        for job in jobs[:-1]:
            await store.finish(job, new_outcome(1.0))
        await store.get_state("x")
        assert path.stat().st_size + path.with_name("jobs.db-wal").stat().st_size > 12_000_000
        await store.clear_history()
        while path.stat().st_size > 6_000_000:
            await asyncio.sleep(0.005)
        store, queued = await reopened(store)
        await store.close()
        return queued

    (queued,) = asyncio.run(scenario())
    assert queued.prompt == long


def test_settings_are_kept_for_each_user_and_merged(tmp_path):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        await store.update_settings("default", {"a": 1, "b": [None, {"x": 0.5}], "c": None})
        await store.update_settings("default", {"a": "ü"})
        await store.update_settings("default", {})
        await store.update_settings("other", {"a": False})
        store, _ = await reopened(store)
        found = [
            await store.settings("default"),
            await store.settings("nobody"),
            await store.setting("other", "a"),
            await store.setting("other", "b"),
        ]
        await store.close()
        return found

    assert asyncio.run(scenario()) == [{"a": "ü", "b": [None, {"x": 0.5}], "c": None}, {}, False, None]


def test_the_servers_own_state_is_kept_over_a_restart(tmp_path):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        before = await store.get_state("paused")
        await store.set_state("paused", False)
        await store.set_state("paused", {"since": 5})
        store, _ = await reopened(store)
        after = await store.get_state("paused")
        await store.close()
        return before, after

    assert asyncio.run(scenario()) == (None, {"since": 5})


def test_a_cancelled_waiter_disturbs_nobody(tmp_path, new_job):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        tasks = [asyncio.ensure_future(store.accept([new_job(sequence)])) for sequence in range(1, 11)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        counts = await store.counts()
        await store.close()
        return results, counts

    results, counts = asyncio.run(scenario())
    assert [place for place, result in enumerate(results) if result is not None] == [3]
    assert counts["queued"] == 10


def test_a_closed_store_says_so(tmp_path, new_job):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        await store.close()
        await store.close()
        with pytest.raises(StoreError, match="not open"):
            await store.accept([new_job(1)])
        with pytest.raises(StoreError, match="not open"):
            await store.counts()

    asyncio.run(scenario())


def test_the_store_is_imported_without_sqlalchemy():
    program = (
        "import sys, engine.jobs.store, engine.jobs.lock; print('sqlalchemy' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_history_is_read_and_deleted_by_owner(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        for number, owner in enumerate(("alice", None, "bob", "alice"), 1):
            job = new_job(number)
            job.owner = owner
            await store.accept([job])
            await store.finish(job, new_outcome(float(number)))
        ids = {entry.job.id: entry.job.owner for entry in await store.history()}
        alice = [id for id, owner in ids.items() if owner == "alice"]
        (bob,) = [id for id, owner in ids.items() if owner == "bob"]
        assert [entry.job.id for entry in await store.history(owner="alice")] == alice
        assert [entry.job.id for entry in await store.history(owner="alice", max_items=1)] == alice[1:]
        assert [id for id, _ in await store.history_sizes(owner="alice")] == alice
        entries, total = await store.finished(["done"], limit=1, offset=0, owner="alice")
        assert ([entry.job.id for entry in entries], total) == (alice[1:], 2)
        await store.delete_history([bob, alice[0], "unknown"], "alice")
        assert alice[0] not in [entry.job.id for entry in await store.history()]
        await store.clear_history("alice")
        assert [entry.job.owner for entry in await store.history()] == [None, "bob"]
        await store.clear_history()
        assert await store.history() == []
        await store.close()

    asyncio.run(scenario())
