from __future__ import annotations

import asyncio
import logging
import sqlite3

import pytest
from sqlalchemy import inspect

from engine.jobs.migrations import MIGRATIONS, migrate, version_of
from engine.jobs.schema import METADATA
from engine.jobs.store import JobStore
from engine.jobs.store_database import close, connect
from engine.jobs.store_errors import StoreVersionError


def test_the_migrations_lead_to_the_tables_that_queries_use(tmp_path):
    connection = connect(tmp_path / "jobs.db")
    migrate(connection, tmp_path / "jobs.db")
    found = inspect(connection)
    assert set(found.get_table_names()) == set(METADATA.tables)
    for name, table in METADATA.tables.items():
        assert [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(name)] == [
            (column.name, str(column.type), column.nullable) for column in table.columns
        ]
        assert {index["name"] for index in found.get_indexes(name)} == {index.name for index in table.indexes}
    assert version_of(connection) == len(MIGRATIONS)
    close(connection)


def test_a_database_of_version_1_is_migrated_and_a_copy_kept(tmp_path, new_job, new_outcome):
    path = tmp_path / "jobs.db"
    connection = connect(path)
    migrate(connection, path, to=1)
    columns = "sequence, id, number, status, attempts, created, ended, targets, models, extra_data, prompt, checked"
    rows = [
        (3, "waits", 3.0, "queued", 0, 1.0, None, b'["9"]', b"[]", b"{}", b'{"9": 1}', b"{}"),
        (
            5,
            "ended",
            5.0,
            "done",
            1,
            1.0,
            9.0,
            b'["9"]',
            b"[]",
            b'{"extra_pnginfo": {"workflow": {"id": "w-1"}}}',
            b"{}",
            b"",
        ),
        (8, "broken", 8.0, "queued", 1, 1.0, None, b'["9"]', b"[]", b"{no json", b"{}", b"{}"),
    ]
    for row in rows:
        connection.exec_driver_sql(f"INSERT INTO jobs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    connection.exec_driver_sql(
        "UPDATE jobs SET outputs = '{}', meta = '{}', nodes = '{}', messages = '[]' WHERE id = 'ended'"
    )
    connection.exec_driver_sql(
        "INSERT INTO jobs SELECT 11, 'gone', 1, 'done', 0, 1, 1, 1, '', 0, '', '', '', '', '', '', '', '', '', '', ''"
    )
    connection.exec_driver_sql("DELETE FROM jobs WHERE id = 'gone'")
    connection.exec_driver_sql("INSERT INTO settings VALUES ('default', 'a', '5')")
    close(connection)

    async def scenario():
        store = JobStore(path)
        jobs = await store.open()
        listed, _ = await store.finished(["done"], limit=5, offset=0, workflow_id="w-1")
        found = store.next_sequence, await store.settings("default")
        await store.accept([new_job(store.next_sequence)])
        await store.close()
        return jobs, listed, found

    jobs, listed, found = asyncio.run(scenario())
    assert [(job.id, job.sequence, job.workflow_id) for job in jobs] == [("waits", 3, None), ("broken", 8, None)]
    assert jobs[0].prompt == b'{"9": 1}'
    assert [entry.job.id for entry in listed] == ["ended"]
    assert found == (12, {"a": 5})
    copy = sqlite3.connect(tmp_path / "jobs.db.version-1")
    assert copy.execute("SELECT count(*) FROM jobs").fetchone() == (3,)
    assert copy.execute("SELECT version FROM schema_version").fetchone() == (1,)
    copy.close()


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path):
    path = tmp_path / "jobs.db"
    connection = connect(path)
    migrate(connection, path, to=1)
    connection.exec_driver_sql("CREATE TABLE jobs_2 (in_the_way INTEGER)")
    with pytest.raises(Exception, match="jobs_2"):
        migrate(connection, path)
    assert version_of(connection) == 1
    assert "workflow_id" not in {column["name"] for column in inspect(connection).get_columns("jobs")}
    connection.exec_driver_sql("DROP TABLE jobs_2")
    migrate(connection, path)
    assert version_of(connection) == len(MIGRATIONS)
    close(connection)


def test_a_database_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        await store.close()
        file = sqlite3.connect(path)
        file.execute("UPDATE schema_version SET version = 77")
        file.commit()
        file.close()
        before = path.read_bytes()
        store = JobStore(path)
        with pytest.raises(StoreVersionError, match=r"jobs\.db has schema version 77.*up to 5"):
            await store.open()
        await store.close()
        return before

    before = asyncio.run(scenario())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["jobs.db"]


@pytest.mark.parametrize("damage", ["no database", "torn pages", "empty file"])
def test_a_damaged_file_is_moved_aside_and_a_new_one_started(tmp_path, new_job, caplog, damage):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        await store.accept([new_job(sequence) for sequence in range(1, 200)])
        await store.close()
        content = bytearray(path.read_bytes())
        if damage == "no database":
            content = bytearray(b"something else entirely " * 1000)
        elif damage == "torn pages":
            content[8192:-8192] = b"\xa5" * (len(content) - 16384)
        else:
            content = bytearray()
        path.write_bytes(content)
        store = JobStore(path)
        with caplog.at_level(logging.ERROR):
            jobs = await store.open()
        await store.accept([new_job(1)])
        counts = await store.counts()
        await store.close()
        return bytes(content), jobs, counts

    content, jobs, counts = asyncio.run(scenario())
    aside = [
        file for file in tmp_path.iterdir() if ".damaged-" in file.name and not file.name.endswith(("-wal", "-shm"))
    ]
    assert jobs == []
    assert counts["queued"] == 1
    if damage == "empty file":  # an empty file is a new database, not a damaged one
        assert aside == []
    else:
        assert [file.read_bytes() for file in aside] == [content]
        assert aside[0].name in caplog.text


def test_damage_in_the_history_alone_is_found_at_the_start(tmp_path, new_job, new_outcome):
    path = tmp_path / "jobs.db"

    async def scenario():
        store = JobStore(path)
        await store.open()
        jobs = [new_job(sequence, id=f"{sequence:0100}") for sequence in range(1, 400)]
        await store.accept(jobs)
        for job in jobs:
            job.ended = 1.0
        await asyncio.gather(*(store.finish(job, new_outcome(1.0)) for job in jobs))
        await store.close()
        file = sqlite3.connect(path)  # a page of the index of ids, which no query of the start reads
        root = file.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE 'sqlite_autoindex_jobs%'").fetchone()
        file.close()
        content = bytearray(path.read_bytes())
        at = (root[0] - 1) * 4096
        content[at : at + 4096] = b"\xa5" * 4096
        path.write_bytes(content)
        store = JobStore(path)
        await store.open()
        entries = await store.history()
        await store.close()
        return entries

    assert asyncio.run(scenario()) == []
    assert [name for name in (file.name for file in tmp_path.iterdir()) if ".damaged-" in name]


def test_long_texts_go_along_with_their_jobs_from_version_4_and_end_with_them(tmp_path):
    path = tmp_path / "jobs.db"
    connection = connect(path)
    migrate(connection, path, to=4)
    columns = "sequence, id, number, status, attempts, losses, created, client_id, targets, models, extra_data, prompt, checked"
    row = (7, "long", 2.5, "queued", 1, 2, 1.0, "me", b'["9"]', b"[]", b"", b"", b"")
    connection.exec_driver_sql(f"INSERT INTO jobs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    for name, text in (("prompt", b'{"9": 1}'), ("checked", b'{"9": 2}'), ("extra_data", b"{}")):
        connection.exec_driver_sql("INSERT INTO texts VALUES (7, ?, 0, ?)", (name, text))
    close(connection)

    async def scenario():
        store = JobStore(path)
        (job,) = await store.open()
        assert (job.id, job.number, job.losses, job.client_id) == ("long", 2.5, 2, "me")
        assert (job.owner, job.account) == (None, 0.0)
        assert (job.prompt, job.checked) == (b'{"9": 1}', b'{"9": 2}')
        assert store.next_sequence == 8
        await store.remove(["long"])
        await store.close()

    asyncio.run(scenario())
    left = sqlite3.connect(path)
    assert left.execute("SELECT count(*) FROM texts").fetchone() == (0,)
    left.close()
