"""Jobs in lists and in the queue, on a server without workers: what is posted waits."""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import Any

import msgspec
import pytest

from engine.jobs.store import JobStore
from tests.harness import PATIENCE, until

PROMPT = {"1": {"class_type": "PreviewAny", "inputs": {"source": "well"}}}


def post(whole: Any, workflow: str = "", **fields: Any) -> dict[str, Any]:
    extra = {"extra_pnginfo": {"workflow": {"id": workflow}}} if workflow else {}
    answer = whole.ask("POST", "/prompt", msgspec.json.encode({"prompt": PROMPT, "extra_data": extra, **fields}))
    assert answer.status == 200, answer.body
    return answer.json()


def page(whole: Any, workflow: str, **wishes: Any) -> tuple[list[str], dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in {"workflow_id": workflow, **wishes}.items())
    found = whole.ask("GET", f"/jobs?{query}").json()
    return [job["id"] for job in found["jobs"]], found["pagination"]


@pytest.fixture
def listed(whole: Any) -> tuple[str, list[str]]:
    """A workflow with five jobs, newest first: three that wait, and the two oldest, which have ended."""
    workflow = uuid.uuid4().hex
    ids = [post(whole, workflow)["prompt_id"] for _ in range(5)]
    for job in ids[:2]:
        assert whole.ask("POST", f"/jobs/{job}/cancel").json() == {"cancelled": True}
    until(lambda: page(whole, workflow, status="cancelled")[1]["total"] == 2, "their ends to be recorded")
    return workflow, ids[::-1]


def test_pages_go_from_jobs_that_wait_to_jobs_that_have_ended_and_leave_none_out(whole, listed):
    workflow, ids = listed
    found = [page(whole, workflow, limit=2, offset=offset) for offset in (0, 2, 4)]
    assert [one for one, _ in found] == [ids[:2], ids[2:4], ids[4:]]
    assert [told["has_more"] for _, told in found] == [True, True, False]
    assert {told["total"] for _, told in found} == {5}
    assert page(whole, workflow, limit=5) == (ids, {"offset": 0, "limit": 5, "total": 5, "has_more": False})
    assert page(whole, workflow, offset=5)[0] == []


def test_a_job_whose_end_is_being_written_is_listed_once(whole, monkeypatch):
    finish = JobStore.finish

    async def slowly(store: JobStore, *told: Any) -> None:
        await finish(store, *told)
        await asyncio.sleep(0.3)

    monkeypatch.setattr(JobStore, "finish", slowly)
    workflow = uuid.uuid4().hex
    job = post(whole, workflow)["prompt_id"]
    whole.ask("POST", f"/jobs/{job}/cancel")
    seen = [page(whole, workflow)]
    while page(whole, workflow, status="in_progress")[0]:
        seen.append(page(whole, workflow))
    assert {(tuple(ids), told["total"]) for ids, told in seen} == {((job,), 1)}


def test_a_list_is_of_the_statuses_that_were_asked_for(whole, listed):
    workflow, ids = listed
    assert page(whole, workflow, status="pending")[0] == ids[:3]
    assert page(whole, workflow, status="cancelled")[0] == ids[3:]
    assert page(whole, workflow, status="completed,failed")[0] == []
    assert page(whole, workflow, sort_order="asc", status="pending")[0] == ids[2::-1]


def test_a_job_put_in_front_is_before_all_that_wait_and_a_number_says_where_else(whole):
    first, front, third = post(whole), post(whole, front=True), post(whole, number=-0.5)
    assert first["number"] > 0 > third["number"] > front["number"]
    queue = [entry[1] for entry in whole.ask("GET", "/queue").json()["queue_pending"]]
    assert [job for job in queue if job in {one["prompt_id"] for one in (first, front, third)}] == [
        front["prompt_id"],
        third["prompt_id"],
        first["prompt_id"],
    ]


@pytest.mark.parametrize("number", ["NaN", "1e13", "true", '"1"'])
def test_what_is_no_place_in_the_queue_is_refused(whole, number):
    body = msgspec.json.encode({"prompt": PROMPT})[:-1] + f',"number":{number}}}'.encode()
    assert whole.ask("POST", "/prompt", body).status == 400


def test_an_id_may_have_two_hundred_characters(whole):
    assert post(whole, prompt_id="a" * 200)["prompt_id"] == "a" * 200
    for wrong in ("", "a" * 201, "a\nb"):
        refused = whole.ask("POST", "/prompt", msgspec.json.encode({"prompt": PROMPT, "prompt_id": wrong}))
        assert (refused.status, refused.json()["error"]["type"]) == (400, "invalid_field")


def test_a_job_that_has_just_been_cancelled_can_be_cancelled_again(whole, monkeypatch):
    """Its end is not on the disk yet, and it is known all the same."""
    finish, written = JobStore.finish, threading.Event()

    async def slowly(store: JobStore, *told: Any) -> None:
        await asyncio.to_thread(written.wait, PATIENCE)
        await finish(store, *told)

    monkeypatch.setattr(JobStore, "finish", slowly)
    job = post(whole)["prompt_id"]
    for _ in range(2):
        answer = whole.ask("POST", f"/jobs/{job}/cancel")
        assert (answer.status, answer.json()) == (200, {"cancelled": True})
    written.set()
    until(lambda: whole.ask("GET", f"/history/{job}").json(), "its end to be recorded")
    assert whole.ask("POST", f"/jobs/{job}/cancel").status == 200
    assert whole.ask("POST", "/jobs/nobody/cancel").status == 404


def test_a_job_that_ends_while_a_list_is_made_is_in_it_once(whole, monkeypatch):
    finished = JobStore.finished

    async def after_its_end(store: JobStore, *told: Any, **wishes: Any) -> Any:
        await asyncio.to_thread(whole.ask, "POST", f"/jobs/{job}/cancel")
        while not await store.history_entry(job):
            await asyncio.sleep(0.005)
        return await finished(store, *told, **wishes)

    workflow = uuid.uuid4().hex
    job = post(whole, workflow)["prompt_id"]
    monkeypatch.setattr(JobStore, "finished", after_its_end)
    ids, told = page(whole, workflow)
    assert (ids, told["total"]) == ([job], 1)
