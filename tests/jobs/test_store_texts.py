"""Long texts of jobs, which stand apart from the rows: whole at every reading, written once, gone with the job."""

from __future__ import annotations

import asyncio
import sqlite3
import sys

import msgspec
import pytest

from engine.jobs.migrations import migrate
from engine.jobs.records import LONG
from engine.jobs.store import JobStore
from engine.jobs.store_database import close, connect
from engine.jobs.store_texts import PIECE

PROMPT = b'{"1": {"class_type": "X", "inputs": {"text": "%s"}}}' % (b"p" * (2 * PIECE + 5))
CHECKED = b'{"1": {"class_type": "X", "inputs": {"text": "%s", "n": 1}}}' % (b"c" * (3 * PIECE))
EXTRA = b'{"extra_pnginfo": {"workflow": {"id": "w-1"}}}'


@pytest.fixture
def long_job(new_job):
    """Make a job whose texts are long."""
    return lambda sequence, **fields: new_job(
        sequence, **{"prompt": PROMPT, "checked": CHECKED, "extra_data": EXTRA, **fields}
    )


def found_in(path, query, *values):
    """What a closed or open database says."""
    file = sqlite3.connect(path)
    try:
        return file.execute(query, values).fetchall()
    finally:
        file.commit()
        file.close()


def names_of_texts(path):
    return [name for (name,) in found_in(path, "SELECT DISTINCT name FROM texts ORDER BY name")]


def test_long_texts_are_whole_in_queue_and_history_and_never_in_the_row(tmp_path, long_job, new_outcome):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        await store.accept([long_job(1, id="a")])
        await store.close()
        store = JobStore(path)
        [job] = await store.open()
        whole = await store.whole(job)
        await store.finish(job, new_outcome(5.0))
        [entry], one = await store.history(), await store.history_entry("a")
        [(_, size)] = await store.history_sizes()
        await store.close()
        return job, whole, entry, one, size

    job, whole, entry, one, size = asyncio.run(scenario())
    assert (job.long, job.prompt, job.checked) == (True, b"{}", b"")
    assert (whole.prompt, whole.checked, whole.extra_data) == (PROMPT, CHECKED, EXTRA)
    for job in (entry.job, one.job):
        assert (job.prompt, job.checked, job.extra_data) == (PROMPT, b"", EXTRA)
    assert 0 <= size - len(PROMPT) - len(EXTRA) < 100
    assert found_in(path, "SELECT length(prompt), length(checked), length(extra_data) FROM jobs") == [(0, 0, 0)]
    assert names_of_texts(path) == ["extra_data", "prompt"]
    assert found_in(path, "SELECT max(length(data)) FROM texts") == [(PIECE,)]


def test_what_changes_while_a_long_job_runs_does_not_write_its_texts_anew(tmp_path, long_job, new_outcome):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        job = long_job(1)
        await store.accept([job])
        found_in(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        before = log.stat().st_size
        for number in range(5):
            job.number = 10.0 ** (10 * number)
            store.moved([job])
            await store.set_state("seen", number)
        job.status, job.attempts, job.started = "running", 1, 1234.5
        store.began(job)
        await store.finish(job, new_outcome(5.0))
        after = log.stat().st_size
        await store.close()
        return before, after

    log = path.with_name("jobs.db-wal")
    before, after = asyncio.run(scenario())
    assert before == 0
    assert after < PIECE


def test_the_store_holds_no_text_of_a_job_that_it_has_written(tmp_path, long_job):
    async def scenario():
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        text = PROMPT + b" "
        before = sys.getrefcount(text)
        job = long_job(1, prompt=text)
        await store.accept([job])
        del job
        for _ in range(200):
            if sys.getrefcount(text) == before:
                break
            await asyncio.sleep(0.01)  # the writing thread wakes us before it lets go
        after = sys.getrefcount(text)
        await store.close()
        return before, after

    before, after = asyncio.run(scenario())
    assert after == before


@pytest.mark.parametrize("way", ["cleared", "deleted", "taken out", "trimmed"])
def test_texts_go_with_their_job(tmp_path, long_job, new_job, new_outcome, way):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path, history_limit=1)
        await store.open()
        job, kept = long_job(1, id="gone"), long_job(2, id="kept", prompt=PROMPT + b" ")
        await store.accept([job, kept])
        if way != "taken out":
            await store.finish(job, new_outcome(1.0))
        match way:
            case "cleared":
                await store.clear_history()
            case "deleted":
                await store.delete_history(["gone"])
            case "taken out":
                await store.remove(["gone"])
            case _:
                late = new_job(3)
                await store.accept([late])
                await store.finish(late, new_outcome(2.0))
                while (await store.counts())["done"] > 1:
                    await asyncio.sleep(0.005)
        whole = await store.whole(msgspec.structs.replace(kept, long=True))
        await store.close()
        return whole.prompt

    assert asyncio.run(scenario()) == PROMPT + b" "
    assert found_in(path, "SELECT DISTINCT sequence FROM texts") == [(2,)]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE texts SET data = x'00' WHERE name = 'checked' AND piece = 1",
        "DELETE FROM texts WHERE name = 'checked' AND piece = 3",
        "DELETE FROM texts WHERE name = 'checked'",
        "UPDATE texts SET data = 'a text' WHERE name = 'checked' AND piece = 0",
    ],
)
def test_a_long_job_of_which_a_piece_is_damaged_is_put_aside_whole_and_others_run(tmp_path, long_job, damage):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        await store.accept([long_job(1, id="a")])
        await store.close()
        found_in(path, damage)
        store = JobStore(path)
        assert await store.open() == []
        await store.accept([long_job(2, id="b")])
        entry = await store.history_entry("a")
        await store.close()
        return entry

    entry = asyncio.run(scenario())
    assert entry.outcome.status == "failed"
    assert entry.job.prompt == b"{}"
    [line] = (tmp_path / "jobs.db.unreadable.jsonl").read_text().splitlines()
    assert msgspec.json.decode(line)["row"]["prompt"] == PROMPT.decode()
    assert found_in(path, "SELECT DISTINCT sequence FROM texts") == [(2,)]


def test_a_long_job_that_has_ended_is_listed_though_its_texts_are_lost(tmp_path, long_job, new_outcome):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        job = long_job(1, id="a")
        await store.accept([job])
        await store.finish(job, new_outcome(1.0))
        await store.close()
        found_in(path, "DELETE FROM texts")
        store = JobStore(path)
        await store.open()
        [entry] = await store.history()
        await store.close()
        return entry.job

    job = asyncio.run(scenario())
    assert (job.prompt, job.extra_data) == (b"{}", b"{}")


def test_a_database_of_version_3_with_long_texts_is_migrated(tmp_path, new_outcome, caplog):
    path = tmp_path / "jobs.db"
    connection = connect(path)
    migrate(connection, path, to=3)
    columns = "id, number, status, attempts, created, targets, models, extra_data, prompt, checked, ended, end_number"
    ended_columns = "outputs = '{}', meta = '{}', nodes = '{}', messages = '[]'"
    rows = [
        ("long", 1.0, "queued", 0, 1.0, b'["1"]', b"[]", EXTRA, PROMPT, CHECKED, None, None),
        ("short", 2.0, "running", 1, 1.0, b'["1"]', b"[]", b"{}", b'{"1": 1}', b'{"1": 2}', None, None),
        ("foreign", 3.0, "queued", 0, 1.0, b'["1"]', b"[]", b"{}", b"{}", CHECKED.decode(), None, None),
        ("ended", 4.0, "done", 1, 1.0, b'["1"]', b"[]", EXTRA, PROMPT, b"", 9.0, 1),
    ]
    for row in rows:
        connection.exec_driver_sql(f"INSERT INTO jobs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    connection.exec_driver_sql(f"UPDATE jobs SET {ended_columns} WHERE id = 'ended'")
    close(connection)

    async def scenario():
        store = JobStore(path)
        jobs = await store.open()
        wholes = [await store.whole(job) for job in jobs]
        for job in jobs:
            await store.finish(job, new_outcome(10.0))
        history = {entry.job.id: entry.job for entry in await store.history()}
        await store.close()
        return jobs, wholes, history

    jobs, wholes, history = asyncio.run(scenario())
    assert [(job.id, job.long) for job in jobs] == [("long", True), ("short", False)]
    assert (wholes[0].prompt, wholes[0].checked, wholes[0].extra_data) == (PROMPT, CHECKED, EXTRA)
    assert (wholes[1].prompt, wholes[1].checked) == (b'{"1": 1}', b'{"1": 2}')
    assert "Job foreign" in caplog.text
    assert history["long"].prompt == history["ended"].prompt == PROMPT
    assert history["ended"].extra_data == EXTRA
    assert found_in(path, "SELECT count(*) FROM jobs WHERE id = 'long' AND length(prompt) = 0") == [(1,)]
    assert found_in(tmp_path / "jobs.db.version-3", "SELECT length(prompt) FROM jobs WHERE id = 'long'") == [
        (len(PROMPT),)
    ]


def test_texts_that_are_not_long_together_stay_in_the_row(tmp_path, new_job):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        text = b'{"1": "%s"}' % (b"x" * (LONG // 2 - 100))
        await store.accept([new_job(1, prompt=text, checked=text)])
        await store.close()

    asyncio.run(scenario())
    assert names_of_texts(path) == []
