"""What happens to a store from outside: rows that cannot be read, a clock that jumps, a file that somebody else holds."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

import msgspec
import pytest

from engine.jobs import store_database
from engine.jobs.store import JobStore
from engine.jobs.store_database import close, open_database
from engine.jobs.store_reader import unfinished


def change(path, statement, *values):
    """Write to a database that is closed, as a damaged disk or a foreign hand would."""
    file = sqlite3.connect(path)
    file.execute(statement, values)
    file.commit()
    file.close()


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("UPDATE jobs SET targets = ? WHERE id = 'b'", b"[no json"),
        ("UPDATE jobs SET models = ? WHERE id = 'b'", b"5"),
        ("UPDATE jobs SET checked = ? WHERE id = 'b'", b'{"1": {"class_ty'),
        ("UPDATE jobs SET number = ? WHERE id = 'b'", "no number"),
        ("UPDATE jobs SET number = ? WHERE id = 'b'", 9e999),
        ("UPDATE jobs SET status = ? WHERE id = 'b'", "what"),
        ("UPDATE jobs SET attempts = ? WHERE id = 'b'", b"\xff"),
        ("UPDATE jobs SET client_id = cast(? as text), targets = x'' WHERE id = 'b'", b"\xff\xfe"),
    ],
)
def test_a_row_that_cannot_be_read_is_put_aside_and_told_and_the_others_run(
    tmp_path, new_job, caplog, statement, value
):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        await store.accept([new_job(index, id=id) for index, id in enumerate("abc", 1)])
        await store.close()
        change(path, statement, value)
        store = JobStore(path)
        with caplog.at_level(logging.ERROR):
            jobs = await store.open()
        entry = await store.history_entry("b")
        await store.close()
        store = JobStore(path)
        again = await store.open()
        await store.close()
        return jobs, entry, again

    jobs, entry, again = asyncio.run(scenario())
    assert [job.id for job in jobs] == [job.id for job in again] == ["a", "c"]
    assert entry is not None
    assert entry.outcome.status == "failed"
    error = msgspec.json.decode(entry.outcome.error)
    assert "could not be read" in error["exception_message"]
    assert "Job b " in caplog.text
    assert "put aside in jobs.db.unreadable.jsonl" in caplog.text
    [line] = (tmp_path / "jobs.db.unreadable.jsonl").read_text().splitlines()
    assert msgspec.json.decode(line)["row"]["id"] == "b"


def test_a_job_whose_extra_data_is_no_json_runs_without_it(tmp_path, new_job):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        await store.accept([new_job(1)])
        await store.close()
        change(path, "UPDATE jobs SET extra_data = ?, prompt = ?", b"{", b"\x00")
        store = JobStore(path)
        jobs = await store.open()
        await store.close()
        return jobs

    [job] = asyncio.run(scenario())
    assert job.extra_data == b"{}"
    assert job.prompt == job.checked


def test_what_cannot_be_read_of_history_settings_and_state_is_left_out_alone(tmp_path, new_job, new_outcome, caplog):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        jobs = [new_job(index, id=id) for index, id in enumerate("abc", 1)]
        await store.accept(jobs)
        for job in jobs:
            await store.finish(job, new_outcome(1.0))
        await store.update_settings("default", {"kept": 1, "lost": 2})
        await store.set_state("paused", True)
        await store.close()
        change(path, "UPDATE jobs SET targets = x'ff' WHERE id = 'b'")
        change(path, "UPDATE settings SET value = '{' WHERE id = 'lost'")
        change(path, "UPDATE state SET value = x'ff'")
        store = JobStore(path)
        await store.open()
        found = [entry.job.id for entry in await store.history()], await store.history_entry("b")
        kept = await store.settings("default"), await store.setting("default", "lost"), await store.get_state("paused")
        await store.close()
        return found, kept

    found, kept = asyncio.run(scenario())
    assert found == (["a", "c"], None)
    assert kept == ({"kept": 1}, None, None)
    assert "Entry 2 of the history is left out" in caplog.text


def test_a_clock_that_jumps_neither_loses_nor_reorders_history(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db", history_limit=3)
        await store.open()
        jobs = [new_job(index, id=str(index)) for index in range(1, 7)]
        await store.accept(jobs)
        for job, ended in zip(jobs, (1e9, 2e9, 5.0, 4.0, 3.0, 3.0), strict=True):  # set back by decades
            await store.finish(job, new_outcome(ended))
        while (await store.counts())["done"] > 3:
            await asyncio.sleep(0.005)
        first = [entry.job.id for entry in await store.history()]
        newest = [entry.job.id for entry in await store.history(max_items=2)]
        await store.close()
        store = JobStore(tmp_path / "jobs.db", history_limit=3)
        await store.open()
        late = new_job(9, id="late")
        await store.accept([late])
        await store.finish(late, new_outcome(1.0))
        after = [entry.job.id for entry in await store.history()]
        await store.close()
        return first, newest, after

    first, newest, after = asyncio.run(scenario())
    assert first == ["4", "5", "6"]
    assert newest == ["5", "6"]
    assert after[-1] == "late"


def test_a_change_that_is_tried_again_does_not_undo_a_later_one(tmp_path, new_job, monkeypatch):
    monkeypatch.setattr(store_database, "BUSY_SECONDS", 0.0)

    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        job = new_job(1)
        await store.accept([job])
        other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        job.number = 5.0
        store.moved([job])
        while not store._writer._changes:  # it has failed, and is kept
            await asyncio.sleep(0.005)
        job.number = 9.0
        store.moved([job])
        await asyncio.sleep(0.1)
        other.execute("ROLLBACK")
        await store.set_state("after", 1)
        await store.close()
        other.close()
        store = JobStore(tmp_path / "jobs.db")
        [found] = await store.open()
        await store.close()
        return found.number

    assert asyncio.run(scenario()) == 9.0


def test_commits_are_on_the_disk_when_they_are_acknowledged(tmp_path):
    connection, _ = open_database(tmp_path / "jobs.db", None, unfinished)
    try:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    finally:
        close(connection)


def test_taking_jobs_out_of_the_queue_leaves_history_alone(tmp_path, new_job, new_outcome):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        ended, waits = new_job(1, id="ended"), new_job(2, id="waits")
        await store.accept([ended, waits])
        await store.finish(ended, new_outcome(1.0))
        await store.remove(["ended", "waits"])
        history, counts = await store.history(), await store.counts()
        await store.close()
        return [entry.job.id for entry in history], counts["queued"]

    assert asyncio.run(scenario()) == (["ended"], 0)
