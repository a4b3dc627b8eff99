from __future__ import annotations

import asyncio

import pytest

from engine.jobs.store import JobStore
from engine.jobs.store_errors import StoreFullError

SMALL = 400_000


async def filled(store, new_job):
    """Accept jobs until there is no room; those accepted."""
    accepted = []
    try:
        for sequence in range(1, 1000):
            job = new_job(sequence, prompt=b" " * 3000)
            await store.accept([job])
            accepted.append(job)
    except StoreFullError:
        return accepted
    raise AssertionError("1,000 jobs of 3 kB fit into a store of 400 kB")


def test_with_less_than_the_reserve_free_no_job_is_accepted(tmp_path, new_job):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db", reserve=1 << 60)
        await store.open()
        low = store.is_low()
        with pytest.raises(StoreFullError) as caught:
            await store.accept([new_job(1)])
        counts = await store.counts()
        await store.update_settings("default", {"still": "works"})
        await store.close()
        return low, caught.value, counts

    low, error, counts = asyncio.run(scenario())
    assert low
    assert counts["queued"] == 0
    assert str(tmp_path) in str(error)
    assert "MiB free" in str(error)
    assert error.free > 0


def test_a_full_store_refuses_jobs_ends_those_it_has_and_accepts_again(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db", max_bytes=SMALL)
        await store.open()
        accepted = await filled(store, new_job)
        low = store.is_low()
        results = await asyncio.gather(
            *(store.accept([new_job(sequence)]) for sequence in range(2000, 2030)), return_exceptions=True
        )
        for job in accepted:
            await store.finish(job, new_outcome(1.0, outputs=b" " * 300))
        history = await store.history()
        await store.clear_history()
        await store.accept([new_job(3000)])
        counts = await store.counts()
        after = store.is_low()
        await store.close()
        return accepted, low, results, history, counts, after

    accepted, low, results, history, counts, after = asyncio.run(scenario())
    assert len(accepted) > 50
    assert low
    assert not after
    assert {type(result) for result in results} == {StoreFullError}
    assert [entry.job.id for entry in history] == [job.id for job in accepted]
    assert counts == {"queued": 1, "running": 0, "done": 0, "failed": 0, "cancelled": 0}


def test_an_end_that_does_not_fit_waits_until_it_does(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db", max_bytes=SMALL)
        await store.open()
        first, second, third = new_job(1), new_job(2), new_job(3)
        await store.accept([first, second, third])
        await store.finish(first, new_outcome(1.0, outputs=b" " * 200_000))
        waiting = asyncio.ensure_future(store.finish(second, new_outcome(2.0, outputs=b" " * 250_000)))
        while not store.waiting:
            await asyncio.sleep(0.005)
        await store.finish(third, new_outcome(3.0))  # a small one fits still
        third_is_written = await store.history_entry(third.id)
        second_is_not = await store.history_entry(second.id)
        assert not waiting.done()
        await store.delete_history([first.id])
        await waiting
        entries = await store.history()
        left = store.waiting
        await store.close()
        return third_is_written, second_is_not, [entry.job.sequence for entry in entries], left

    third_is_written, second_is_not, order, left = asyncio.run(scenario())
    assert third_is_written is not None
    assert second_is_not is None
    assert order == [3, 2], "the end that waited was stored last"
    assert left == 0


def test_what_never_fits_is_told_when_the_store_closes(tmp_path, new_job, new_outcome):
    async def scenario():
        path = tmp_path / "jobs.db"
        store = JobStore(path, max_bytes=SMALL)
        await store.open()
        job = new_job(1)
        await store.accept([job])
        waiting = asyncio.ensure_future(store.finish(job, new_outcome(1.0, outputs=b" " * 500_000)))
        while not store.waiting:
            await asyncio.sleep(0.005)
        await store.close()
        with pytest.raises(StoreFullError):
            await waiting
        store = JobStore(path)
        unfinished = await store.open()
        await store.close()
        return [job.id], [found.id for found in unfinished]

    expected, found = asyncio.run(scenario())
    assert found == expected
