"""GET /jobs in pages: every job once, those that wait and run before those that have ended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from engine.jobs.queue import JobQueue
from engine.jobs.records import Job, Outcome
from engine.jobs.store import JobStore
from engine.server.routes.jobs import JobRoutes


def job(sequence: int, status: Any = "queued", held: str = "") -> Job:
    made = Job(id=str(sequence), number=float(sequence), sequence=sequence, prompt=b"{}", outputs=("1",), status=status)
    made.checked, made.held = b"{}", held
    return made


async def pages(folder: Path, limit: int, **query: str) -> list[list[str]]:
    """All pages, of four jobs that have ended, two that wait and one that runs."""
    store = JobStore(folder / "jobs.db")
    await store.open()
    for sequence in (1, 2, 3, 4):
        one = job(sequence)
        await store.accept([one])
        await store.finish(one, Outcome(status="done", ended=1.0))
    dispatcher: Any = SimpleNamespace(active=lambda: [job(5, "running")], queue=JobQueue([job(6), job(7)]))
    routes, found, more = JobRoutes(dispatcher, store), [], True
    for _ in range(100):
        if not more:
            break
        offset = sum(map(len, found))
        request = make_mocked_request("GET", f"/jobs?{urlencode({'limit': limit, 'offset': offset, **query})}")
        page = msgspec.json.decode((await routes.show(request)).body)
        assert page["pagination"]["total"] == (7 if "status" not in query else 4)
        found.append([one["id"] for one in page["jobs"]])
        more = page["pagination"]["has_more"]
    await store.close()
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7])
def test_every_job_is_on_one_page_whatever_their_length(tmp_path: Path, limit: int) -> None:
    found = asyncio.run(pages(tmp_path, limit))
    assert [name for page in found for name in page] == list("7654321")
    assert all(len(page) == limit for page in found[:-1])


def test_a_page_of_ended_jobs_begins_with_the_first(tmp_path: Path) -> None:
    assert asyncio.run(pages(tmp_path, 3, status="completed")) == [["4", "3", "2"], ["1"]]


def test_a_job_that_waits_for_its_pack_says_so(tmp_path: Path) -> None:
    async def ask() -> Any:
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        dispatcher: Any = SimpleNamespace(
            active=list, queue=JobQueue([job(1, held="There is no node type 'X' here now.")])
        )
        request = make_mocked_request("GET", "/jobs")
        answer = await JobRoutes(dispatcher, store).show(request)
        await store.close()
        return msgspec.json.decode(answer.body)["jobs"]

    [listed] = asyncio.run(ask())
    assert listed["status"] == "pending"
    assert listed["waits_for"] == "There is no node type 'X' here now."
