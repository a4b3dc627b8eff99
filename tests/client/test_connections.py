"""The client before a server that breaks off, restarts, refuses and is slow: one that does only what a test tells it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest
from aiohttp import web

from engine.client import (
    AsyncClient,
    Client,
    ConnectionLostError,
    InvalidWorkflowError,
    NotAllowedError,
    OutOfRangeError,
    RunCancelledError,
    RunFailedError,
    RunTimeoutError,
    ServerError,
    TooManyRequestsError,
    UnknownJobError,
    UnknownParameterError,
    UnknownWorkflowError,
    WrongTypeError,
)
from tests.harness import free_port, until

Act = Callable[["Fake", web.Request, web.StreamResponse], Awaitable[None]]

WORKFLOW = {
    "name": "one/two words",
    "doc": "Makes one.",
    "parameters": {
        "type": "object",
        "properties": {"seed": {"type": "integer"}, "image": {"type": "string", "x-safelight-media": "image"}},
    },
    "outputs": [{"name": "image", "kind": "image", "doc": ""}],
    "runnable": True,
    "problems": [],
}
FILE = {"filename": "a.png", "subfolder": "x y", "type": "output", "media_type": "image/png", "url": "/api/view"}


def call(state: str = "done", **more):
    return {"job_id": "job1", "state": state, "values": {"seed": 3}, "outputs": {}, "seconds": 0.5, **more}


class Fake:
    """A server of one workflow. Each request for events takes the next of `acts`; all requests are in `seen`."""

    def __init__(self) -> None:
        self.acts: list[Act | tuple[int, dict, dict[str, str]]] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.port = free_port()
        self.cancelled = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/below"

    def _run(self) -> None:
        async def begin() -> None:
            app = web.Application(client_max_size=64 * 1024**2)
            app.router.add_route("*", "/{path:.*}", self._answer)
            self.runner = web.AppRunner(app, shutdown_timeout=0.1)
            await self.runner.setup()
            await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
            self._ready.set()

        self._loop.run_until_complete(begin())
        self._loop.run_forever()

    def close(self) -> None:
        async def end() -> None:
            await self.runner.cleanup()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for one in others:
                one.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        path = request.path.removeprefix("/below/api")
        if path.endswith("/cancel"):
            self.cancelled.set()
            return web.json_response({"cancelled": True})
        if path == "/prompt":
            status, body, _ = self.acts.pop(0)
            if status == 0:
                request.transport.abort()
            return web.json_response(body, status=status or 500)
        if path == "/view":
            return web.Response(body=b"far away")
        if request.headers.get("Accept") != "text/event-stream":
            if path == "/v1/workflows":
                page = [{"name": str(at)} for at in range(5)][int(request.query["offset"]) :][:2]
                return web.json_response({"workflows": page, "total": 5})
            if not path.startswith("/v1/workflows/one/"):
                return web.json_response(problem("unknown_workflow", "Did you mean one?"), status=404)
            return web.json_response(WORKFLOW)
        act = self.acts.pop(0)
        if isinstance(act, tuple):
            status, body, headers = act
            return web.json_response(body, status=status, headers=headers)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await act(self, request, answer)
        return answer


def problem(type: str, message: str = "No.", **facts):
    return {"error": {"type": type, "message": message, "details": "", "extra_info": facts}, "node_errors": {}}


def tells(*events: tuple[str, dict], breaks: bool = False, holds: bool = False) -> Act:
    async def act(fake: Fake, request: web.Request, answer: web.StreamResponse) -> None:
        for name, data in events:
            await answer.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        if breaks:
            request.transport.abort()
        if holds:
            while not fake.cancelled.is_set():
                await asyncio.sleep(0.01)
            await answer.write(f"event: finished\ndata: {json.dumps(call('cancelled'))}\n\n".encode())

    return act


ACCEPTED = ("accepted", call("queued"))
FINISHED = ("finished", call(outputs={"text": {"kind": "text", "files": [], "texts": ["well"]}}))


@pytest.fixture
def fake() -> Iterator[Fake]:
    found = Fake()
    yield found
    found.close()


@pytest.fixture
def client(fake: Fake) -> Iterator[Client]:
    with Client(fake.url + "/", token="secret", patience=20) as found:
        yield found


def test_a_call_carries_the_token_and_a_key_and_gives_the_result(fake, client):
    steps = [
        ("node", {"node": "5", "state": "running", "class_type": "KSampler", "done": 1, "total": 4}),
        ("progress", {"node": "5", "value": 1, "max": 2, "done": 1, "total": 4}),
        ("preview", {"node": "5", "media_type": "image/png", "base64": base64.b64encode(b"picture").decode()}),
        ("notice", {"message": "slow"}),
        ("node", {"node": "5", "state": "finished", "done": 2, "total": 4}),
    ]
    fake.acts = [tells(ACCEPTED, ("started", {"attempt": 1}), *steps, FINISHED)]
    told = []
    result = client.workflow("one/two words").run(seed=3, progress=told.append, previews=True)
    assert (result.job, result.texts, result.values) == ("job1", ["well"], {"seed": 3})
    assert [(one.title, one.fraction, one.data) for one in told] == [
        ("KSampler", 0.25, None),
        ("KSampler", 0.375, None),
        ("KSampler", 0.375, b"picture"),
        ("", 0.5, None),
    ]
    method, path, headers, body = fake.seen[-1]
    assert (method, path.partition("?")[0], json.loads(body)) == (
        "POST",
        "/below/api/v1/workflows/one/two%20words/run",
        {"seed": 3},
    )
    assert "previews=true" in path
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Idempotency-Key"]


def test_a_request_that_breaks_before_it_is_answered_is_sent_again_with_the_same_key(fake, client):
    fake.acts = [tells(breaks=True), (503, problem("stopping"), {}), tells(ACCEPTED, FINISHED)]
    assert client.workflow("one/").run(seed=1).texts == ["well"]
    sent = [(headers["Idempotency-Key"], body) for method, _, headers, body in fake.seen if method == "POST"]
    assert len(sent) == 3
    assert len(set(sent)) == 1


def test_two_calls_have_two_keys(fake, client):
    fake.acts = [tells(ACCEPTED, FINISHED), tells(ACCEPTED, FINISHED)]
    workflow = client.workflow("one/")
    workflow.run()
    workflow.run()
    assert len({headers["Idempotency-Key"] for method, _, headers, _ in fake.seen if method == "POST"}) == 2


def test_a_job_is_found_again_when_the_connection_breaks_or_the_server_restarts(fake, client):
    lost = ("refused", {"status": 503, **problem("server_stopping")})
    fake.acts = [tells(ACCEPTED, breaks=True), tells(ACCEPTED, lost), tells(ACCEPTED), tells(ACCEPTED, FINISHED)]
    assert client.workflow("one/").run().texts == ["well"]
    assert [(method, path.partition("?")[0]) for method, path, _, _ in fake.seen[1:]] == [
        ("POST", "/below/api/v1/workflows/one/two%20words/run"),
        *[("GET", "/below/api/v1/jobs/job1")] * 3,
    ]


def test_a_server_that_stays_away_ends_the_waiting_with_the_id_of_the_job(fake):
    with Client(fake.url, patience=0.3) as client:
        workflow = client.workflow("one/")
        fake.acts = [tells(ACCEPTED, breaks=True), *[(502, {}, {})] * 100]
        with pytest.raises(ConnectionLostError, match="502") as raised:
            workflow.run()
        assert raised.value.job == "job1"
    with Client(f"http://127.0.0.1:{free_port()}", patience=0.2) as nobody, pytest.raises(ConnectionLostError):
        nobody.workflows()


def test_a_connection_that_falls_silent_is_taken_for_broken(fake):
    async def silent(fake: Fake, request: web.Request, answer: web.StreamResponse) -> None:
        await asyncio.sleep(60)

    fake.acts = [silent, *[tells(ACCEPTED, FINISHED)] * 50]
    with Client(fake.url, silence=0.5) as client:
        assert client.workflow("one/").run().texts == ["well"]


REFUSALS = {
    "parameter": (
        (422, problem("invalid_arguments", "sed?", problems=[{"type": "unknown_parameter", "parameter": "sed"}]), {}),
        UnknownParameterError,
    ),
    "range": ((422, problem("invalid_arguments", problems=[{"type": "value_bigger_than_max"}]), {}), OutOfRangeError),
    "token": ((401, problem("unauthorized"), {}), NotAllowedError),
    "scope": ((403, problem("forbidden"), {}), NotAllowedError),
    "quota": ((429, problem("quota"), {"Retry-After": "7"}), TooManyRequestsError),
    "incomplete": ((409, problem("workflow_incomplete", missing_nodes=["X"]), {}), InvalidWorkflowError),
    "disk": ((507, problem("cannot_store"), {}), ServerError),
    "no JSON": ((500, {}, {}), ServerError),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_an_exception_of_its_kind_and_is_not_tried_again(case, fake, client):
    answer, kind = REFUSALS[case]
    fake.acts = [answer]
    with pytest.raises(kind) as raised:
        client.workflow("one/").run(seed=3)
    assert fake.acts == []
    if case == "quota":
        assert raised.value.retry_after == 7.0
    if case == "incomplete":
        assert raised.value.problems == [{"missing_nodes": ["X"]}]


def test_what_is_not_there_says_so(fake, client):
    with pytest.raises(UnknownWorkflowError, match="Did you mean one"):
        client.workflow("none")
    fake.acts = [(404, problem("unknown_job"), {})]
    with pytest.raises(UnknownJobError):
        client.result("gone")


def test_a_job_that_failed_or_was_cancelled_raises_with_what_there_is(fake, client):
    error = {"message": "no 4", "node_id": "7", "node_type": "KSampler"}
    outputs = FINISHED[1]["outputs"]
    fake.acts = [tells(ACCEPTED, ("finished", call("failed", error=error, outputs=outputs)))]
    with pytest.raises(RunFailedError, match=r"KSampler \(node 7\) failed: no 4") as raised:
        client.workflow("one/").run()
    assert raised.value.failures == [error]
    assert raised.value.result.texts == ["well"]
    fake.acts = [tells(ACCEPTED, ("finished", call("cancelled")))]
    with pytest.raises(RunCancelledError):
        client.workflow("one/").run()


def test_an_error_of_the_callback_a_time_that_is_up_and_a_wish_cancel_the_job(fake, client):
    workflow = client.workflow("one/")
    progress = ("progress", {"node": "5", "value": 1, "max": 2, "done": 1, "total": 4})

    def stop(told):
        raise ZeroDivisionError

    fake.acts = [tells(ACCEPTED, progress, holds=True)]
    with pytest.raises(ZeroDivisionError):
        workflow.run(progress=stop)
    assert fake.cancelled.is_set()
    fake.cancelled.clear()
    fake.acts = [tells(ACCEPTED, holds=True)]
    with pytest.raises(RunTimeoutError):
        workflow.run(timeout=0.2)
    assert fake.cancelled.is_set()
    fake.cancelled.clear()
    fake.acts = [tells(ACCEPTED, holds=True)]
    run = workflow.start()
    until(lambda: run.job, "the job to be accepted")
    run.cancel()
    with pytest.raises(RunCancelledError):
        run.wait()
    assert fake.cancelled.is_set()


def test_on_a_loop_a_task_that_is_cancelled_cancels_its_job(fake):
    async def cancelled() -> None:
        async with AsyncClient(fake.url) as client:
            workflow = await client.workflow("one/")
            fake.acts = [tells(ACCEPTED, holds=True)]
            task = asyncio.create_task(workflow.run())
            await asyncio.to_thread(until, lambda: not fake.acts, "the request")
            task.cancel()  # the id of the job may not be here yet
            with pytest.raises(asyncio.CancelledError):
                await task
            assert fake.cancelled.is_set()
            fake.cancelled.clear()
            fake.acts = [tells(ACCEPTED, holds=True)]
            with pytest.raises(RunTimeoutError):
                await workflow.run(timeout=0.2)
            assert fake.cancelled.is_set()

    asyncio.run(cancelled())


def test_closing_the_client_ends_its_calls(fake):
    client = Client(fake.url)
    fake.acts = [tells(ACCEPTED, holds=True)]
    run = client.workflow("one/").start()
    until(lambda: run.job, "the job to be accepted")
    client.close()
    client.close()
    with pytest.raises(RunCancelledError):
        run.wait()
    with pytest.raises(RuntimeError, match="closed"):
        client.workflows()


def test_files_come_with_the_result_or_are_fetched_or_stay_there(fake, client):
    here = {**FILE, "base64": base64.b64encode(b"at once").decode()}
    outputs = {"image": {"kind": "image", "files": [here, FILE], "texts": []}}
    fake.acts = [tells(ACCEPTED, ("finished", call(outputs=outputs)))]
    result = client.workflow("one/").run()
    assert [file.read() for file in result.files] == [b"at once", b"far away"]
    assert "/below/api/view?filename=a.png&subfolder=x+y&type=output" in [path for _, path, _, _ in fake.seen]
    outputs["image"]["files"] = [FILE]
    fake.acts = [tells(ACCEPTED, ("finished", call(outputs=outputs)))]
    result = client.workflow("one/").run(download=False)
    with pytest.raises(OSError, match="download=True"):
        result.files[0].read()


def test_small_files_go_as_json_and_large_ones_as_a_form(fake, client):
    fake.acts = [tells(ACCEPTED, FINISHED), tells(ACCEPTED, FINISHED), tells(breaks=True), tells(ACCEPTED, FINISHED)]
    workflow = client.workflow("one/")
    workflow.run(image=b"\x89PNG small", seed=2)
    assert json.loads(fake.seen[-1][3]) == {"seed": 2, "image": {"base64": base64.b64encode(b"\x89PNG small").decode()}}
    workflow.run(image="on_the_server.png")
    assert json.loads(fake.seen[-1][3]) == {"image": "on_the_server.png"}
    large = b"\x89PNG" + bytes(5 * 1024**2)
    workflow.run(image=large, seed=2)
    for _, _, headers, body in fake.seen[-2:]:  # the second as the first one broke
        assert headers["Content-Type"].startswith("multipart/form-data")
        assert large in body
        assert b'name="seed"\r\n\r\n2\r\n' in body.replace(b"Content-Type: text/plain; charset=utf-8\r\n", b"")


def test_what_is_neither_json_nor_a_file_is_refused_here(fake, client):
    with pytest.raises(WrongTypeError, match="neither JSON nor a file"):
        client.workflow("one/").run(seed=object())


def test_all_pages_of_workflows_are_read(client):
    assert client.workflows() == ["0", "1", "2", "3", "4"]


def test_many_calls_at_once_from_threads_and_on_a_loop(fake, client):
    fake.acts = [tells(ACCEPTED, FINISHED)] * 40
    workflow = client.workflow("one/")
    runs = [workflow.start(seed=at) for at in range(20)]
    assert [run.wait().texts for run in runs] == [["well"]] * 20

    async def all_of_them():
        async with AsyncClient(fake.url) as client:
            workflow = await client.workflow("one/")
            return await asyncio.gather(*(workflow.run(seed=at) for at in range(20)))

    assert [result.texts for result in asyncio.run(all_of_them())] == [["well"]] * 20


def test_a_graph_is_posted_once_whatever_becomes_of_the_answer(fake, client):
    fake.acts = [(0, {}, {}), (409, problem("duplicate_prompt_id"), {}), tells(ACCEPTED, breaks=True), tells(FINISHED)]
    assert client.run_graph({"1": {"class_type": "X", "inputs": {}}}).texts == ["well"]
    bodies = [json.loads(body) for _, path, _, body in fake.seen if path.endswith("/api/prompt")]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    assert bodies[0]["prompt"] == {"1": {"class_type": "X", "inputs": {}}}


def test_a_graph_that_is_not_sound_is_refused_with_its_nodes_and_a_half_sound_one_is_cancelled(fake, client):
    error = {"type": "value_not_in_list", "message": "Value not in list", "details": "ckpt_name", "extra_info": {}}
    errors = {"4": {"class_type": "Loader", "errors": [error], "dependent_outputs": []}}
    fake.acts = [(400, {**problem("prompt_outputs_failed_validation", "No output."), "node_errors": errors}, {})]
    with pytest.raises(InvalidWorkflowError, match=r"node 4 \(Loader\): Value not in list \(ckpt_name\)") as raised:
        client.run_graph({})
    assert raised.value.problems[0]["node_id"] == "4"
    fake.acts = [(200, {"prompt_id": "x", "number": 1, "node_errors": errors}, {})]
    with pytest.raises(InvalidWorkflowError, match="the job is cancelled"):
        client.run_graph({})
    assert fake.cancelled.is_set()
