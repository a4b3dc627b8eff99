"""Jobs of the Comfy API v2 on a server without workers: what is taken, told, listed, cancelled and refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.server.guards import Policy
from engine.server.limits import Limits
from engine.server.token_file import create_token
from tests.harness import PATIENCE
from tests.server.api_v2 import PROMPT, ask, png, refused, sdk, upload
from tests.server.conftest import Whole
from tests.server.guarded import SECRET

Start = Callable[..., AbstractContextManager[Whole]]


@pytest.fixture
def clean(whole: Whole) -> Iterator[Whole]:
    """The shared server, with an empty queue before and after."""
    whole.ask("POST", "/queue", b'{"clear": true}')
    yield whole
    whole.ask("POST", "/queue", b'{"clear": true}')


def create(server: Whole, body: Any = None, **headers: str) -> dict[str, Any]:
    answer = ask(server, "POST", "/jobs", body or {"workflow": PROMPT}, **headers)
    assert answer.status == 201, answer.body
    return answer.json()


def test_a_job_that_waits_is_told_in_full_and_is_that_of_the_other_routes(clean: Whole) -> None:
    first = create(clean)
    answer = ask(clean, "POST", "/jobs", {"workflow": PROMPT, "metadata": {"client": "acme"}, "priority": 3})
    second = answer.json()
    assert answer.headers["Location"] == second["urls"]["self"] == f"{clean.url}/api/v2/jobs/{second['id']}"
    assert (first["status"], first["queue_position"], second["queue_position"]) == ("queued", 1, 2)
    assert (second["metadata"], second["priority"], "metadata" in first) == ({"client": "acme"}, 3, False)
    assert (second["outputs"], second["error"], second["progress"]) == ([], None, None)
    assert (second["started_at"], second["completed_at"]) == (None, None)
    assert second["metrics"] == {"queue_ms": None, "execution_ms": None}
    assert ask(clean, "GET", f"/jobs/{second['id']}").json() == second
    pending = [item[1] for item in clean.ask("GET", "/queue").json()["queue_pending"]]
    assert pending == [first["id"], second["id"]]
    posted = clean.ask("POST", "/prompt", msgspec.json.encode({"prompt": PROMPT, "prompt_id": "my/own id"})).json()
    own = ask(clean, "GET", "/jobs/my%2Fown%20id").json()
    assert (own["id"], own["queue_position"]) == (posted["prompt_id"], 3)
    assert own["urls"]["self"].endswith("/jobs/my%2Fown%20id")


def test_a_cancelled_job_that_waited_is_canceled_in_the_answer_and_stays_so(clean: Whole) -> None:
    job = create(clean)
    cancelled = ask(clean, "POST", f"/jobs/{job['id']}/cancel").json()
    assert (cancelled["status"], cancelled["error"]) == ("canceled", None)
    assert cancelled["completed_at"]
    assert ask(clean, "POST", f"/jobs/{job['id']}/cancel").json() == cancelled
    assert ask(clean, "GET", f"/jobs/{job['id']}").json() == cancelled


def test_the_list_is_paged_newest_first_whatever_comes_and_ends_meanwhile(clean: Whole) -> None:
    ids = [create(clean)["id"] for _ in range(5)]
    for id in (ids[1], ids[4]):
        ask(clean, "POST", f"/jobs/{id}/cancel")
    page = ask(clean, "GET", "/jobs?limit=2").json()
    assert [job["id"] for job in page["jobs"]] == [ids[4], ids[3]]
    assert [job["status"] for job in page["jobs"]] == ["canceled", "queued"]
    assert page["jobs"][1]["queue_position"] == 3
    create(clean)
    ask(clean, "POST", f"/jobs/{ids[2]}/cancel")
    page = ask(clean, "GET", f"/jobs?limit=2&cursor={page['next_cursor']}").json()
    assert [job["id"] for job in page["jobs"]] == [ids[2], ids[1]]
    queued = ask(clean, "GET", "/jobs?status=queued,running").json()
    assert {job["status"] for job in queued["jobs"]} == {"queued"}
    assert len(queued["jobs"]) == 3
    assert "next_cursor" not in queued


def test_jobs_are_found_by_their_labels(clean: Whole) -> None:
    labels = [{"run": "7", "who": "a"}, {"run": "7", "who": "b"}, {"run": "8"}]
    ids = [create(clean, {"workflow": PROMPT, "metadata": one})["id"] for one in labels]
    create(clean, {"workflow": PROMPT, "metadata": "a text"})
    with sdk(clean.url) as client:
        assert [job.id for job in client.list_jobs(metadata={"run": "7"}, limit=1)][:2] == [ids[1], ids[0]]
        assert [job.id for job in client.list_jobs(metadata={"run": "7", "who": "a"})] == [ids[0]]
        found = next(iter(client.list_jobs(metadata={"run": "8"})))
        assert (found.id, found.status, found.metadata) == (ids[2], "queued", {"run": "8"})
        assert found.create_time is not None
        assert found.update_time is not None
        assert {job.id for job in client.list_jobs(limit=2)} >= set(ids)


def test_the_graph_of_a_job_has_the_names_of_its_assets(clean: Whole) -> None:
    asset = upload(clean, png((4, 4)), file_path="faces/four.png").json()
    reference = {"__type": "core/ASSET", "info": {"id": asset["id"]}}
    by_hash = {"__type": "core/ASSET", "info": {"hash": asset["hash"]}}
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": reference}},
        "2": {"class_type": "LoadImage", "inputs": {"image": by_hash}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    job = create(clean, {"workflow": graph})
    told = ask(clean, "GET", f"/jobs/{job['id']}/workflow").json()
    assert told["format"] == "api"
    assert {told["workflow"][node]["inputs"]["image"] for node in "12"} == {"faces/four.png"}
    refused(ask(clean, "GET", f"/jobs/{job['id']}/workflow?format=save"), 404, "not_found")
    refused(ask(clean, "GET", f"/jobs/{job['id']}/workflow?format=png"), 400, "invalid_request")
    in_use = refused(ask(clean, "DELETE", f"/assets/{asset['id']}"), 409, "asset_in_use")
    assert in_use["error"]["details"]["job_ids"] == [job["id"]]
    ask(clean, "POST", f"/jobs/{job['id']}/cancel")
    assert ask(clean, "DELETE", f"/assets/{asset['id']}").status == 204


def test_a_saved_workflow_is_taken_too(clean: Whole) -> None:
    saved = {
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [
            {"id": 1, "type": "PreviewAny", "inputs": [], "outputs": [], "widgets_values": ["hello"], "mode": 0},
        ],
        "links": [],
        "version": 0.4,
    }
    problem = refused(ask(clean, "POST", "/jobs", {"workflow": {**saved, "nodes": [7]}}), 422, "workflow_format_ui")
    assert problem["detail"]
    saved["nodes"] = [
        {
            "id": 5,
            "type": "EmptyImage",
            "inputs": [],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
            "widgets_values": [8, 8, 1, 0],
            "mode": 0,
        },
        {
            "id": 9,
            "type": "PreviewImage",
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            "outputs": [],
            "mode": 0,
        },
    ]
    saved["links"] = [[1, 5, 0, 9, 0, "IMAGE"]]
    job = create(clean, {"workflow": saved})
    assert set(ask(clean, "GET", f"/jobs/{job['id']}/workflow").json()["workflow"]) == {"5", "9"}
    kept = ask(clean, "GET", f"/jobs/{job['id']}/workflow?format=save").json()
    assert (kept["format"], kept["workflow"]["nodes"][0]["type"]) == ("save", "EmptyImage")


BROKEN = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": -1, "height": "tall", "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    "3": {"class_type": "PreviewImage", "inputs": {}},
}


def test_all_that_is_wrong_with_a_graph_is_told_at_once(clean: Whole) -> None:
    problem = refused(ask(clean, "POST", "/jobs", {"workflow": BROKEN}), 422, "invalid_workflow")
    details = problem["error"]["details"]
    assert {(one["node_id"], one["field"]) for one in details["errors"]} == {
        ("1", "width"),
        ("1", "height"),
        ("3", "images"),
    }
    assert set(details["node_errors"]) == {"1", "3"}
    assert "2 more" in problem["detail"]
    assert problem["detail"].startswith("Node 1 (EmptyImage), ")
    assert ask(clean, "GET", "/jobs?status=queued").json()["jobs"] == []


def test_outputs_that_are_sound_run_and_the_others_are_told(clean: Whole) -> None:
    job = create(clean, {"workflow": {**BROKEN, "9": PROMPT["1"]}})
    assert set(job["node_errors"]) == {"1", "3"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        ({}, 422, "invalid_workflow"),
        ({"workflow": {}}, 422, "invalid_workflow"),
        ({"workflow": "portrait.json"}, 422, "invalid_workflow"),
        ({"workflow": PROMPT, "webhook_url": "http://x"}, 422, "invalid_workflow"),
        ({"workflow": PROMPT, "extra_data": {"token": "x"}}, 400, "invalid_request"),
        ({"workflow": PROMPT, "extra_data": {"api_key_comfy_org": None}}, 400, "invalid_request"),
        ({"workflow": PROMPT, "metadata": 7}, 422, "metadata_invalid"),
        ({"workflow": PROMPT, "metadata": {"a": 7}}, 422, "metadata_invalid"),
        ({"workflow": PROMPT, "metadata": {str(n): "" for n in range(17)}}, 422, "metadata_invalid"),
        ({"workflow": PROMPT, "metadata": "x" * 1025}, 422, "metadata_invalid"),
        ({"workflow": PROMPT, "priority": True}, 422, "invalid_request"),
        ({"workflow": {"1": {"class_type": "NoSuchNode", "inputs": {}}}}, 422, "invalid_workflow"),
        ({"workflow": {"1": 7}}, 422, "invalid_workflow"),
    ],
)
def test_bodies_that_are_none_are_refused(clean: Whole, body: Any, status: int, code: str) -> None:
    refused(ask(clean, "POST", "/jobs", body), status, code)
    assert ask(clean, "GET", "/jobs?status=queued").json()["jobs"] == []


@pytest.mark.parametrize(
    "info",
    [{"id": "0-0"}, {"id": 7}, {"hash": "blake3:00"}, {}, None, {"id": "0-0", "hash": "blake3:00"}],
)
def test_an_asset_that_is_not_there_is_named(clean: Whole, info: Any) -> None:
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": {"__type": "core/ASSET", "info": info}}}}
    problem = refused(ask(clean, "POST", "/jobs", {"workflow": graph}), 422, "missing_asset")
    assert len(problem["error"]["details"]["missing_ids"]) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_request"),
        ("limit=101", "invalid_request"),
        ("limit=x", "invalid_request"),
        ("status=done", "invalid_request"),
        ("cursor=zzz", "invalid_cursor"),
        ("cursor=%C3%A4", "invalid_cursor"),
        ("metadata=7", "invalid_metadata_filter"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(whole: Whole, query: str, code: str) -> None:
    refused(ask(whole, "GET", f"/jobs?{query}"), 400, code)


def test_what_is_not_there_is_a_problem_too(whole: Whole) -> None:
    for method, path in (
        ("GET", "/jobs/none"),
        ("GET", "/jobs/none/workflow"),
        ("GET", "/jobs/none/events"),
        ("POST", "/jobs/none/cancel"),
        ("GET", "/models"),
        ("GET", "/billing/credits"),
    ):
        refused(ask(whole, method, path), 404, "not_found")
    wrong = ask(whole, "PUT", "/jobs")
    refused(wrong, 405, "method_not_allowed")
    assert set(wrong.headers["Allow"].split(",")) >= {"GET", "POST"}
    assert ask(whole, "GET", "/health").json() == {"status": "healthy"}
    refused(ask(whole, "GET", "/jobs", Host="somewhere.example"), 403, "forbidden")
    refused(ask(whole, "POST", "/jobs", bytes(2_500_000)), 413, "payload_too_large")


def test_a_key_makes_one_job_and_says_which(clean: Whole) -> None:
    job = create(clean, Idempotency_Key="once")
    problem = refused(
        ask(clean, "POST", "/jobs", {"workflow": PROMPT}, Idempotency_Key="once"), 422, "idempotency_key_reuse"
    )
    assert problem["error"]["details"]["job_id"] == job["id"]
    other = ask(clean, "POST", "/jobs", {"workflow": PROMPT, "priority": 1}, Idempotency_Key="once")
    refused(other, 422, "idempotency_key_reuse")
    assert len(ask(clean, "GET", "/jobs?status=queued").json()["jobs"]) == 1
    refused(ask(clean, "POST", "/jobs", {"workflow": BROKEN}, Idempotency_Key="again"), 422, "invalid_workflow")
    create(clean, Idempotency_Key="again")
    for key in ("", "x" * 256, "tab\tbed"):
        refused(ask(clean, "POST", "/jobs", {"workflow": PROMPT}, Idempotency_Key=key), 400, "invalid_request")


def test_a_key_sent_many_times_at_once_makes_one_job(clean: Whole) -> None:
    answers: list[int] = []

    def send() -> None:
        answers.append(ask(clean, "POST", "/jobs", {"workflow": PROMPT}, Idempotency_Key="at once").status)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 422, 422, 422, 422, 422]
    assert len(ask(clean, "GET", "/jobs?status=queued").json()["jobs"]) == 1


def test_a_stream_of_a_job_that_is_taken_out_of_the_queue_ends(clean: Whole) -> None:
    job = create(clean)
    with closing(HTTPConnection("127.0.0.1", clean.port, timeout=PATIENCE)) as connection:
        connection.request("GET", f"/api/v2/jobs/{job['id']}/events")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        first = [answer.readline() for _ in range(3)]
        assert first == [b"event: status\n", b'data: {"status":"queued","queue_position":1}\n', b"\n"]
        clean.ask("POST", "/queue", msgspec.json.encode({"delete": [job["id"]]}))
        assert answer.read() == b'event: status\ndata: {"status":"canceled"}\n\n'


def test_the_sdk_raises_its_own_error_for_each_refusal(whole_servers: Start) -> None:
    from comfy_sdk import exceptions

    with whole_servers(limits=Limits(max_queue=1)) as server, sdk(server.url) as client:
        make = client.workflows.from_json
        with pytest.raises(exceptions.InvalidWorkflow) as invalid:
            client.submit(make(BROKEN))
        assert len(invalid.value.details["errors"]) == 3
        assert invalid.value.request_id
        with pytest.raises(exceptions.WorkflowFormatUi):
            client.submit(make({"nodes": [7], "links": [], "version": 0.4}))
        reference = {"__type": "core/ASSET", "info": {"id": "none"}}
        with pytest.raises(exceptions.MissingAsset):
            client.submit(make({"1": {"class_type": "LoadImage", "inputs": {"image": reference}}}))
        with pytest.raises(exceptions.NotFound):
            client.jobs.get("none")
        job = client.submit(make(PROMPT), idempotency_key="mine")
        with pytest.raises(exceptions.IdempotencyKeyReuse) as reused:
            client.submit(make(PROMPT), idempotency_key="mine")
        assert reused.value.details["job_id"] == job.id
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("comfy_sdk.client._QUEUE_RETRY_BUDGET", 0.0)
            with pytest.raises(exceptions.QueueFull) as full:
                client.submit(make(PROMPT))
        assert full.value.retry_after == 5
        assert job.cancel().status == "canceled"
        with pytest.raises(exceptions.JobFailed):
            job.result()


def test_the_token_is_asked_for_as_the_sdk_expects(whole_servers: Start) -> None:
    from comfy_sdk import exceptions

    with whole_servers(Policy(token="a-token-of-some-length")) as server:
        with sdk(server.url) as client, pytest.raises(exceptions.Unauthorized):
            client.jobs.get("none")
        with sdk(server.url, api_key="a-token-of-some-length") as client:
            job = client.submit(client.workflows.from_json(PROMPT))
            assert client.jobs.get(job.id).status == "queued"


def test_each_token_has_its_own_jobs_assets_keys_and_limits(whole_servers: Start, tmp_path: Path) -> None:
    from comfy_sdk import exceptions

    file = tmp_path / "tokens.json"
    uses = frozenset({"run", "read"})
    ann, bob = (create_token(file, name, uses, queue=1) for name in ("ann", "bob"))
    reader = create_token(file, "eve", frozenset({"read"}))
    with whole_servers(Policy(token=SECRET, tokens_file=file)) as server:
        assert ask(server, "GET", "/health").status == 200
        with sdk(server.url, api_key=ann) as hers, sdk(server.url, api_key=bob) as his:
            job = hers.submit(hers.workflows.from_json(PROMPT), idempotency_key="k")
            with pytest.raises(exceptions.NotFound):
                his.jobs.get(job.id)
            assert ask(server, "POST", f"/jobs/{job.id}/cancel", Authorization=f"Bearer {bob}").status == 404
            assert list(his.list_jobs()) == []
            assert [one.id for one in hers.list_jobs()] == [job.id]
            assert his.submit(his.workflows.from_json(PROMPT), idempotency_key="k").id != job.id

            asset = hers.assets.from_bytes(png((3, 5)), filename="ours.png")
            asset.commit()
            with pytest.raises(exceptions.NotFound):
                his.assets.get(asset.id)
            other = his.assets.from_bytes(png((3, 5)), filename="ours.png")
            assert other.commit() != asset.id
            asset.delete()
            assert his.assets.get(other.id).hash == other.hash
            assert [path.name for path in (server.base / "input").glob("*.png")] == ["ours.png"]
            other.delete()
            assert not list((server.base / "input").glob("*.png"))
        full = ask(server, "POST", "/jobs", {"workflow": PROMPT}, Authorization=f"Bearer {ann}")
        refused(full, 429, "queue_full")
        assert int(full.headers["Retry-After"]) >= 1
        refused(ask(server, "POST", "/jobs", {"workflow": PROMPT}, Authorization=f"Bearer {reader}"), 403, "forbidden")
        with sdk(server.url, api_key=reader) as client, pytest.raises(exceptions.Forbidden):
            client.submit(client.workflows.from_json(PROMPT))
        both = ask(server, "GET", "/jobs", Authorization=f"Bearer {SECRET}").json()["jobs"]
        assert len(both) == 2
