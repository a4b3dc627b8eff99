"""Idempotency keys: the work is done once, whoever asks when, and over restarts."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from engine.jobs.store_errors import StoreVersionError
from engine.server.idempotency import Idempotency, KeyReused, digest_of
from engine.server.refusals import Refusal
from tests.harness import PATIENCE

BODY, OTHER = digest_of(b"one"), digest_of(b"other")


def told(story: Any) -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE):
            await story()

    asyncio.run(run())


def test_a_repeat_gets_what_the_first_kept_also_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        keys = Idempotency(tmp_path / "user" / "keys.db")
        async with keys.claim("jobs", "k", BODY) as claim:
            assert (claim.answer, claim.job_id) == (None, None)
            await claim.hold("job-1")
            await claim.keep(b"answer")
        await keys.close()
        keys = Idempotency(tmp_path / "user" / "keys.db")
        async with keys.claim("jobs", "k", BODY) as claim:
            assert (claim.answer, claim.job_id) == (b"answer", "job-1")
        async with keys.claim("elsewhere", "k", OTHER) as claim:
            assert claim.answer is None
        with pytest.raises(KeyReused) as raised:
            async with keys.claim("jobs", "k", OTHER):
                pytest.fail("not reached")
        assert raised.value.status == 422
        assert raised.value.job_id == "job-1"
        await keys.close()

    told(story)


def test_repeats_wait_for_the_first_and_the_work_is_done_once(tmp_path: Path) -> None:
    async def story() -> None:
        keys = Idempotency(tmp_path / "keys.db")
        began, go_on, work = asyncio.Event(), asyncio.Event(), []

        async def request() -> bytes:
            async with keys.claim("jobs", "k", BODY) as claim:
                if claim.answer is None:
                    work.append(1)
                    began.set()
                    await go_on.wait()
                    await claim.keep(b"done")
                assert claim.answer is not None
                return claim.answer

        requests = [asyncio.create_task(request()) for _ in range(5)]
        await began.wait()
        with pytest.raises(KeyReused):
            async with keys.claim("jobs", "k", OTHER):
                pytest.fail("not reached")
        go_on.set()
        assert await asyncio.gather(*requests) == [b"done"] * 5
        assert work == [1]
        await keys.close()

    told(story)


def test_a_refused_request_leaves_its_key_free_and_one_that_broke_off_names_its_job(tmp_path: Path) -> None:
    async def story() -> None:
        keys = Idempotency(tmp_path / "keys.db")

        async def refused() -> None:
            async with keys.claim("jobs", "k", BODY) as claim:
                await claim.hold("job-1")
                raise Refusal(400, "no", "No.")

        with pytest.raises(Refusal):
            await refused()
        async with keys.claim("jobs", "k", OTHER) as claim:
            assert claim.job_id is None
            await claim.keep()

        held = asyncio.Event()

        async def cut_off() -> None:
            async with keys.claim("jobs", "cut", BODY) as claim:
                await claim.hold("job-2")
                held.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(cut_off())
        await held.wait()
        task.cancel()
        await asyncio.wait({task})
        async with keys.claim("jobs", "cut", BODY) as claim:
            assert (claim.answer, claim.job_id) == (None, "job-2")
        await keys.close()

    told(story)


def test_keys_are_forgotten_after_their_time_and_when_there_are_too_many(tmp_path: Path) -> None:
    async def story() -> None:
        keys = Idempotency(tmp_path / "keys.db", most=3)
        for name in "abcd":
            async with keys.claim("jobs", name, BODY) as claim:
                await claim.keep(name.encode())
        async with keys.claim("jobs", "a", OTHER) as claim:
            assert claim.answer is None
        await keys.close()
        expired = Idempotency(tmp_path / "keys.db", hours=-1)
        async with expired.claim("jobs", "d", OTHER) as claim:
            assert claim.answer is None
        await expired.close()

    told(story)


def test_a_damaged_file_is_put_aside_and_one_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "keys.db"
        path.write_bytes(b"not a database" * 100)
        keys = Idempotency(path)
        async with keys.claim("jobs", "k", BODY) as claim:
            await claim.keep()
        await keys.close()
        assert len(list(tmp_path.glob("keys.db.damaged-*"))) == 1
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 9")
        connection.close()
        with pytest.raises(StoreVersionError):
            async with keys.claim("jobs", "k", BODY):
                pytest.fail("not reached")
        await keys.close()

    told(story)
