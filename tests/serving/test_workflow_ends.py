"""Calls that go otherwise: refused, failed, cancelled, left alone, sent again, told of to others."""

from __future__ import annotations

import base64
import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness import PATIENCE, until
from tests.serving.calling import STEP, asked, give_workflows, run, state_of

# -- a client that goes away


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize(("wish", "state"), [("continue", "done"), ("cancel", "cancelled")])
def test_the_job_of_a_client_that_goes_away_goes_on_or_is_cancelled(called, sign, accept, wish, state):
    connection = http.client.HTTPConnection("127.0.0.1", called.port, timeout=PATIENCE)
    arguments = {"sign": str(sign), "value": 9, "name": "held"}
    path = f"/api/v1/workflows/hold/run?on_disconnect={wish}"
    connection.request("POST", path, json.dumps(arguments), {"Accept": accept})
    until(lambda: "held" in called.noted(), "the node to run")
    job = next(one["id"] for one in called.get("/jobs?status=in_progress")["jobs"])
    connection.close()
    if wish == "continue":
        sign.touch()
    until(lambda: state_of(called, job) == state, f"the job to be {state}")


# -- idempotency


def test_a_call_that_is_sent_again_runs_once(called):
    arguments = {"value": 100, "name": "idempotent"}
    first, second = (run(called, "step", arguments, Idempotency_Key="a-key") for _ in range(2))
    assert (first[0], second[0]) == (200, 200)
    assert first[1] == second[1]
    status, told = run(called, "step", {**arguments, "value": 101}, Idempotency_Key="a-key")
    assert (status, told["error"]["type"]) == (422, "idempotency_key_reuse")
    assert run(called, "step", {"value": "x"}, Idempotency_Key="b-key")[0] == 422
    assert run(called, "step", {"value": 1}, Idempotency_Key="b-key")[0] == 200
    assert run(called, "step", {"value": 1}, Idempotency_Key="")[0] == 400
    assert called.noted().count("idempotent") == 1


# -- webhooks


def test_an_address_is_told_when_the_job_has_ended_though_it_failed_twice(called, receiver):
    address = f"http://127.0.0.1:{receiver.server_port}/done"
    told = run(called, "step", {"value": 77}, Safelight_Webhook=address, Prefer="respond-async")[1]
    until(lambda: len(receiver.of(told["job_id"])) == 3, "the third try")
    headers, body = receiver.of(told["job_id"])[-1]
    assert headers["webhook-id"] == f"msg_{told['job_id']}"
    assert headers["webhook-signature"].startswith("v1,")
    assert (body["type"], body["data"]["outputs"]["text"]["texts"]) == ("job.done", ["78"])
    assert called.get(body["data"]["url"].removeprefix(called.url))["state"] == "done"


@pytest.mark.parametrize(
    ("address", "status", "type"),
    [("https://example.org/", 403, "webhook_forbidden"), ("nowhere", 400, "invalid_webhook")],
)
def test_a_webhook_to_elsewhere_is_refused_before_anything_runs(called, address, status, type):
    found, told = run(called, "step", {"value": 78, "name": "forbidden"}, f"?webhook={address}")
    assert (found, told["error"]["type"]) == (status, type)
    assert "forbidden" not in called.noted()


def test_two_addresses_are_refused_and_not_one_of_them_forgotten(called, receiver):
    address = f"http://127.0.0.1:{receiver.server_port}/done"
    found, told = run(called, "step", {"name": "forbidden"}, f"?webhook={address}", Safelight_Webhook=address)
    assert (found, told["error"]["type"]) == (400, "invalid_webhook")
    assert "forbidden" not in called.noted()


# -- large ones


def test_a_large_call_that_runs_for_long_keeps_no_other_waiting(called, sign):
    long = "x" * (2 * 1024**2)
    held = run(called, "hold", {"sign": str(sign), "value": 4}, Prefer="respond-async")[1]
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(run, called, "step", {"value": 300 + number, "name": long}) for number in range(2)]
        until(lambda: len(called.get("/jobs?status=pending")["jobs"]) == 2, "both to be in the queue", called.log)
        sign.touch()
        texts = [one.result()[1]["outputs"]["text"]["texts"] for one in waiting]
    assert texts == [["301"], ["302"]]
    assert state_of(called, held["job_id"]) == "done"


# -- the end of the server


def test_who_waits_when_the_server_ends_is_told_where_the_job_is_and_it_runs_at_the_next_start(base, serve):
    give_workflows(base)
    first = serve()
    first.ask("POST", "/api/v1/queue/pause")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, first, "step", {"value": 500})
        until(lambda: first.get("/jobs?status=pending")["jobs"], "the job to be there", first.log)
        first.end()
        status, told = waiting.result()
    assert (status, told["error"]["type"]) == (503, "server_ends")
    second = serve()
    second.ask("POST", "/api/v1/queue/resume")
    status, _, data = asked(second, told["error"]["extra_info"]["url"], {"Prefer": "wait=200"})
    result = json.loads(data)
    assert (status, result["state"], result["workflow"]) == (200, "done", "step")
    assert result["outputs"]["text"]["texts"] == ["501"]


# -- what is refused


BAD = [
    ("step", {"vlaue": 1}, 422, "invalid_arguments"),
    ("step", {"value": "three"}, 422, "invalid_arguments"),
    ("step", {"value": None}, 422, "invalid_arguments"),
    ("step", b"{", 400, "invalid_json"),
    ("step", b"[1]", 400, "invalid_body"),
    ("portraits/framed", {}, 422, "invalid_arguments"),
    ("portraits/framed", {"image": {"base64": base64.b64encode(b"no picture").decode()}}, 422, "invalid_arguments"),
    ("portraits/framed", {"image": "https://example.org/x.png"}, 422, "invalid_arguments"),
    ("portraits/framed", {"image": "../../etc/passwd"}, 422, "invalid_arguments"),
    ("stepp", {}, 404, "unknown_workflow"),
    ("broken", {}, 409, "workflow_broken"),
    ("lacking", {}, 409, "workflow_incomplete"),
    ("fail", {"message": "Out of paint."}, 500, "job_failed"),
]


@pytest.mark.parametrize(("name", "body", "status", "type"), BAD)
def test_a_call_that_cannot_be_says_why_in_json(called, name, body, status, type):
    found, told = run(called, name, body)
    assert (found, told["error"]["type"]) == (status, type)
    info = told["error"]["extra_info"]
    if type == "invalid_arguments":
        assert [one["parameter"] for one in info["problems"]] == [*(body or {"image": ""})]
    if type == "workflow_incomplete":
        assert (info["missing_nodes"], info["missing_models"]) == (
            ["NodeOfNobody"],
            ["checkpoints/nobody_has_it.safetensors"],
        )
    if type == "job_failed":
        assert "Out of paint." in told["error"]["message"]
        assert called.get(info["url"])["state"] == "failed"


def test_all_that_is_wrong_is_told_at_once_with_bounds_and_nearest_names(called):
    given = {"stepss": 1, "steps": 0, "cfg": "high", "sampler": "eulr", "width": 1.5}
    problems = run(called, "text_to_image", given)[1]["error"]["extra_info"]["problems"]
    assert {one["parameter"] for one in problems} == set(given)
    told = {one["parameter"]: one for one in problems}
    assert "steps" in told["stepss"]["hint"]
    assert "from 1 to 10000" in told["steps"]["expected"]
    assert "euler" in told["sampler"]["hint"]


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?embed=hex", {}, 400),
        ("?on_disconnect=maybe", {}, 400),
        ("", {"Prefer": "wait=soon"}, 400),
        ("", {"Accept": "video/mp4"}, 406),
        ("", {"Accept": "application/pdf"}, 406),
        ("", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
        ("", {"Content-Type": "multipart/form-data"}, 400),
    ],
)
def test_a_wish_that_there_is_not_is_refused_before_anything_runs(called, query, headers, status):
    jobs = called.get("/api/prompt")["exec_info"]["queue_remaining"]
    path = f"/api/v1/workflows/twice/run{query}"
    found, _, data = asked(called, path, headers, b'{"nonsense": 1}', "POST")
    assert (found, set(json.loads(data))) == (status, {"error", "node_errors"})
    assert called.get("/api/prompt")["exec_info"]["queue_remaining"] == jobs


def test_a_job_that_is_cancelled_or_taken_out_ends_the_wait(called, sign):
    held = run(called, "hold", {"sign": str(sign), "value": 3}, Prefer="respond-async")[1]
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(run, called, "step", {"value": 200})
        queued = until(lambda: called.get("/jobs?status=pending")["jobs"], "a job to wait")
        watching = pool.submit(asked, called, held["url"], {"Prefer": "wait=100"})
        called.ask("POST", "/queue", {"delete": [queued[0]["id"]]})
        status, told = waiting.result()
        assert (status, told["error"]["type"]) == (409, "job_cancelled")
        assert called.ask("POST", f"{held['url']}/cancel", {}) == (200, {"cancelled": True})
        status, _, data = watching.result()
        assert (status, json.loads(data)["error"]["type"]) == (409, "job_cancelled")
    assert state_of(called, held["job_id"]) == "cancelled"
    assert called.ask("POST", f"{held['url']}/cancel", {}) == (200, {"cancelled": False})
    assert called.ask("POST", "/api/v1/jobs/nobody/cancel", {})[0] == 404
    assert called.ask("GET", "/api/v1/jobs/nobody")[0] == 404


def test_a_job_that_was_posted_as_a_graph_can_be_asked_for_too(called):
    job = called.post(STEP)
    status, _, data = asked(called, f"/api/v1/jobs/{job}", {"Prefer": "wait=100"})
    told = json.loads(data)
    assert (status, told["workflow"]) == (200, "")
    assert told["outputs"] == {"node_2": {"kind": "text", "files": [], "texts": ["2"]}}
