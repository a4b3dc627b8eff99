"""Large bodies and long graphs: on disk while they wait, whole wherever they are asked for."""

from __future__ import annotations

import asyncio
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from engine.jobs.records import Job
from engine.jobs.store import JobStore
from engine.jobs.turns import Turns
from engine.server import large_bodies
from engine.server.bodies import read_body
from engine.server.large_bodies import BODIES, WRITERS, LargeBodies
from engine.server.refusals import Refusal
from engine.server.routes import history, prompts
from engine.server.routing import Route
from tests.harness import until

LONG = 1_500_000


def prompt_of(letter: str) -> dict[str, Any]:
    return {"1": {"class_type": "PreviewAny", "inputs": {"source": letter * LONG}}}


def test_long_graphs_are_accepted_together_and_listed_whole(whole: Any) -> None:
    letters = "abcd"
    with ThreadPoolExecutor(len(letters)) as pool:
        bodies = [msgspec.json.encode({"prompt": prompt_of(letter)}) for letter in letters]
        answers = list(pool.map(lambda body: whole.ask("POST", "/prompt", body), bodies))
    assert [answer.status for answer in answers] == [200] * 4
    ids = {answer.json()["prompt_id"]: letter for answer, letter in zip(answers, letters, strict=True)}
    queue = whole.ask("GET", "/queue").json()
    listed = {entry[1]: entry for key in ("queue_running", "queue_pending") for entry in queue[key]}
    for job, letter in ids.items():
        assert listed[job][2] == prompt_of(letter)
        assert listed[job][4] == ["1"]
        one = whole.ask("GET", f"/api/jobs/{job}").json()
        assert one["workflow"]["prompt"] == prompt_of(letter)
    removed = whole.ask("POST", "/queue", msgspec.json.encode({"delete": list(ids)}))
    assert removed.status == 200


def test_a_graph_of_too_many_nodes_is_refused_before_it_is_read(whole: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(prompts, "MOST_NODES", 2)
    prompt = {str(n): {"class_type": "PreviewAny", "inputs": {"source": "x"}} for n in range(3)}
    answer = whole.ask("POST", "/prompt", msgspec.json.encode({"prompt": prompt}))
    assert answer.status == 413
    assert "has 3 nodes; at most 2" in answer.json()["error"]["message"]


def test_nodes_are_counted_once_wherever_a_step_ends(monkeypatch: Any) -> None:
    monkeypatch.setattr(prompts, "MOST_NODES", 2)
    body = b'{"1": {"class_type": "A"}, "2": {"class_type": "B"}}'
    for step in range(1, len(body) + 2):
        monkeypatch.setattr(prompts, "_STEP", step)
        prompts.check_size(body)
        with pytest.raises(Refusal, match="has 3 nodes"):
            prompts.check_size(body + b'"class_type"')


def test_texts_of_a_long_job_stay_on_disk_over_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        store = JobStore(tmp_path / "jobs.db")
        await store.open()
        facts: dict[str, Any] = {"number": 1.0, "outputs": ("1",), "checked": b"{}"}
        await store.accept([Job(id="long", sequence=1, prompt=b'{"1": "%s"}' % (b"x" * LONG), **facts)])
        await store.accept([Job(id="short", sequence=2, prompt=b'{"1": "y"}', **facts)])
        await store.close()
        again = JobStore(tmp_path / "jobs.db")
        long, short = await again.open()
        assert (long.id, long.long, long.prompt) == ("long", True, b"{}")
        assert (short.id, short.long, short.prompt) == ("short", False, b'{"1": "y"}')
        whole = await again.whole(long)
        assert len(whole.prompt) == LONG + 9
        assert not whole.long
        assert await again.whole(short) is short
        await again.close()

    asyncio.run(story())


@pytest.fixture
def bodies(monkeypatch: Any) -> LargeBodies:
    """Every application that is made has these, and a body is large from 1,000 bytes on."""
    monkeypatch.setattr(large_bodies, "WRITTEN_AT_ONCE", 1000)
    made = LargeBodies(Turns())
    original = web.Application.__init__

    def with_bodies(self: web.Application, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self[BODIES] = made
        self.middlewares.append(made.middleware)

    monkeypatch.setattr(web.Application, "__init__", with_bodies)
    return made


def test_bodies_that_a_slow_disk_keeps_waiting_leave_the_common_threads_free(
    monkeypatch: Any, guarded: Any, bodies: LargeBodies
) -> None:
    goes_on = threading.Event()

    class SlowFile(io.BytesIO):
        def write(self, data: Any) -> int:
            goes_on.wait(60)
            return super().write(data)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await read_body(request))))

    async def story() -> list[str]:
        route = Route(method="POST", path="/take", handler=handler, summary="", tag="t")
        async with guarded([route]) as client:
            # more than there are threads for everybody
            posts = [asyncio.create_task(client.post("/take", data=b"x" * 5000)) for _ in range(50)]
            while len(opened) < WRITERS:
                await asyncio.sleep(0.01)
            async with asyncio.timeout(30):
                assert await asyncio.to_thread(int) == 0
            goes_on.set()
            return [await (await post).text() for post in posts]

    opened: list[SlowFile] = []

    def slow_file(**_: Any) -> SlowFile:
        opened.append(SlowFile())
        return opened[-1]

    monkeypatch.setattr(large_bodies.tempfile, "TemporaryFile", slow_file)
    assert asyncio.run(story()) == ["5000"] * 50


def test_only_one_large_body_is_worked_on_at_a_time(guarded: Any, bodies: LargeBodies) -> None:
    """The others wait in files; small ones pass."""
    inside = most = 0
    sizes: list[int] = []

    async def handler(request: web.Request) -> web.Response:
        nonlocal inside, most
        body = await read_body(request)
        if len(body) >= 1000:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1
        sizes.append(len(body))
        return web.Response()

    async def story() -> None:
        route = Route(method="POST", path="/take", handler=handler, summary="", tag="t")
        async with guarded([route]) as client:
            await asyncio.gather(*[client.post("/take", data=b"x" * n) for n in (5000, 10, 6000, 1000, 999)])

    asyncio.run(story())
    assert sorted(sizes) == [10, 999, 1000, 5000, 6000]
    assert most == 1


def test_a_long_history_is_sent_entry_by_entry_and_says_the_same(whole: Any, monkeypatch: Any) -> None:
    job = whole.ask("POST", "/prompt", msgspec.json.encode({"prompt": prompt_of("h")})).json()["prompt_id"]
    whole.ask("POST", f"/api/jobs/{job}/cancel")
    until(lambda: whole.ask("GET", f"/history/{job}").json(), "the end of the job to be written")
    at_once = whole.ask("GET", "/history").json()
    monkeypatch.setattr(history, "AT_ONCE", -1)
    assert whole.ask("GET", "/history").json() == at_once
    assert whole.ask("GET", "/history?max_items=0").json() == {}
