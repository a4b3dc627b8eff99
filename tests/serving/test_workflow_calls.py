"""Saved workflows called over HTTP, on a real server with a real worker."""

from __future__ import annotations

import base64
import http.client
import http.server
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.harness import PATIENCE, Server, new_base, served, until
from tests.serving.conftest import give_pack

STEP = {
    "1": {"class_type": "TestStep", "inputs": {"value": 1, "seconds": 0.0, "name": ""}},
    "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "name": ""}},
}
HOLD = {
    "1": {"class_type": "TestHold", "inputs": {"value": 1, "sign": "", "name": "held"}},
    "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "name": ""}},
}
FAIL = {
    "1": {"class_type": "TestFail", "inputs": {"value": 1, "message": "It went wrong."}},
    "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "name": ""}},
}
PICTURE = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "not_here.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "called"}},
}
TWICE = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 2, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "twice"}},
}
LACKING = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "nobody_has_it.safetensors"}},
    "2": {"class_type": "NodeOfNobody", "inputs": {"model": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
}


def declared(graph, *parameters):
    """A saved file that declares (name, node, input) and its graph."""
    named = [{"name": name, "node": node, "input": input} for name, node, input in parameters]
    return {"prompt": graph, "workflow": {"nodes": [], "links": [], "extra": {"safelight": {"parameters": named}}}}


WORKFLOWS = {
    "step": declared(STEP, ("value", "1", "value"), ("seconds", "1", "seconds"), ("name", "1", "name")),
    "hold": declared(HOLD, ("value", "1", "value"), ("sign", "1", "sign"), ("name", "1", "name")),
    "fail": declared(FAIL, ("message", "1", "message")),
    "in/folder/picture": PICTURE,
    "twice": TWICE,
    "lacking": LACKING,
}


class Receiver(http.server.ThreadingHTTPServer):
    """What webhooks come to; the first two of each job are refused."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], Any]] = []
        super().__init__(("127.0.0.1", 0), Taking)

    def of(self, job: str) -> list[Any]:
        return [(headers, body) for headers, body in self.heard if body["data"]["job_id"] == job]


class Taking(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append(({key.lower(): value for key, value in self.headers.items()}, body))
        self.send_response(204 if len(self.server.of(body["data"]["job_id"])) > 2 else 500)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path, receiver: Receiver) -> Iterator[Server]:
    hosts = f'hosts = ["127.0.0.1:{receiver.server_port}"]'
    secret = base64.b64encode(b"k" * 32).decode()
    settings = f'[webhooks]\n{hosts}\nsecret = "whsec_{secret}"\nfirst_wait = 0.001\n'
    base = give_pack(new_base(tmp_path_factory.mktemp("calls"), core_catalogue, settings))
    for name, value in WORKFLOWS.items():
        path = base / "workflows" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    (base / "workflows" / "broken.json").write_text("{")
    with served(base) as server:
        yield server


@pytest.fixture
def sign(tmp_path: Path) -> Iterator[Path]:
    """A file that lets go what is held; at the end it is there."""
    path = tmp_path / "sign"
    yield path
    path.touch()


def run(server, name, arguments=None, query="", **headers):
    """Status and answer of a call."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return server.ask("POST", f"/api/v1/workflows/{name}/run{query}", {} if arguments is None else arguments, named)


def asked(server, path, headers=None, body=None, method="GET"):
    """The whole answer: status, headers (small letters), bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def form(fields):
    """A body of multipart/form-data, and its headers; a file is (name, bytes)."""
    parts = []
    for name, value in fields:
        filename, data = value if isinstance(value, tuple) else (None, value.encode())
        more = f'; filename="{filename}"' if filename is not None else ""
        parts.append(
            f'--limit\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"
        )
    body = b"".join(parts) + b"--limit--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=limit"}


def picture(colour="red", size=(6, 4)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def state_of(server, job):
    return server.get(f"/api/v1/jobs/{job}")["state"]


def events_of(answer):
    """(event, data) of a stream of events, as they come."""
    name = ""
    for line in answer:
        key, _, value = line.decode().rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


# -- what there is


def test_workflows_are_listed_with_what_they_take_give_and_lack(called):
    told = {one["name"]: one for one in called.get("/api/v1/workflows")["workflows"]}
    assert set(told) >= {*WORKFLOWS, "broken", "text_to_image"}
    step = told["step"]
    assert step["parameters"]["properties"]["value"]["type"] == "integer"
    assert [(one["name"], one["kind"]) for one in step["outputs"]] == [("text", "text")]
    assert (step["runnable"], step["problems"]) == (True, [])
    lacking = told["lacking"]
    assert lacking["runnable"] is False
    assert lacking["missing_nodes"] == ["NodeOfNobody"]
    assert lacking["missing_models"] == ["checkpoints/nobody_has_it.safetensors"]
    assert told["broken"]["runnable"] is False
    assert "JSON" in told["broken"]["problems"][0]
    picture = told["in/folder/picture"]
    assert (picture["runnable"], picture["parameters"]["required"]) == (True, ["image"])
    for path in (picture["url"], picture["url"].replace("in/folder/", "in%2Ffolder%2F")):
        assert called.get(path) == picture
    page = called.get("/api/v1/workflows?limit=2&offset=1")
    assert ([one["name"] for one in page["workflows"]], page["total"]) == (sorted(told)[1:3], len(told))


def test_a_workflow_with_a_picture_beside_it_has_a_thumbnail(called):
    url = called.get("/api/v1/workflows/text_to_image")["thumbnail_url"]
    status, headers, body = asked(called, url)
    assert (status, headers["content-type"], body[:4]) == (200, "image/png", b"\x89PNG")
    assert called.get("/api/v1/workflows/step")["thumbnail_url"] is None
    assert called.ask("GET", "/api/v1/workflows/step/thumbnail")[0] == 404


# -- a call


def test_a_call_waits_and_tells_what_it_gave_and_what_was_reused(called):
    status, first = run(called, "step", {"value": 41, "name": "once"})
    assert (status, first["state"]) == (200, "done")
    assert first["outputs"] == {"text": {"kind": "text", "files": [], "texts": ["42"]}}
    assert first["values"] == {"value": 41, "seconds": 0.0, "name": "once"}
    assert {one["node"] for one in first["ran"]} == {"1", "2"}
    status, second = run(called, "step", {"value": 41, "name": "once"})
    assert (second["outputs"], second["ran"], set(second["reused"])) == (first["outputs"], [], {"1", "2"})
    assert called.noted().count("once") == 1
    assert called.get(first["url"]) == first
    assert called.get(f"/history/{first['job_id']}")[first["job_id"]]["status"]["completed"] is True


def test_a_picture_goes_in_and_comes_out_as_a_file_and_the_graph_in_it_is_the_one_that_ran(called):
    body, headers = form([("image", ("mine.png", picture("blue")))])
    path = "/api/v1/workflows/in%2Ffolder%2Fpicture/run"
    status, answered, data = asked(called, path, {**headers, "Accept": "image/png"}, body, "POST")
    assert (status, answered["content-type"]) == (200, "image/png")
    with Image.open(io.BytesIO(data)) as found:
        assert (found.size, found.convert("RGB").getpixel((0, 0))) == ((6, 4), (0, 0, 255))
        name = json.loads(found.text["prompt"])["1"]["inputs"]["image"]
    assert (called.base / "input" / name).read_bytes() == picture("blue")
    told = called.get(f"/api/v1/jobs/{answered['safelight-job']}")
    assert told["values"] == {"image": name}
    assert run(called, "in/folder/picture", {"image": told["outputs"]["image"]["files"][0]})[0] == 200


@pytest.mark.parametrize("given", ["data", "base64", "name"])
def test_a_picture_may_be_sent_in_json(called, given):
    text = base64.b64encode(picture("green")).decode()
    (called.base / "input").mkdir(exist_ok=True)
    (called.base / "input" / "known.png").write_bytes(picture("green"))
    value = {"data": f"data:image/png;base64,{text}", "base64": {"base64": text}, "name": "known.png"}[given]
    status, told = run(called, "in/folder/picture", {"image": value}, "?embed=base64")
    assert status == 200
    file = told["outputs"]["image"]["files"][0]
    data = base64.b64decode(file["base64"])
    with Image.open(io.BytesIO(data)) as found:
        assert found.convert("RGB").getpixel((0, 0)) == (0, 128, 0)
    assert asked(called, file["url"])[2] == data


def test_of_several_files_the_first_is_the_answer_and_the_others_are_linked(called):
    path = "/api/v1/workflows/twice/run"
    status, headers, data = asked(called, path, {"Accept": "image/*"}, b"{}", "POST")
    assert (status, data[:4]) == (200, b"\x89PNG")
    told = called.get(f"/api/v1/jobs/{headers['safelight-job']}")
    first, second = told["outputs"]["image"]["files"]
    status, _, again = asked(called, path, {"Accept": "image/webp;q=0.9, image/jpeg"}, b"{}", "POST")
    assert (status, again[:3]) == (200, b"\xff\xd8\xff")
    connection = http.client.HTTPConnection("127.0.0.1", called.port, timeout=PATIENCE)
    connection.request("GET", told["url"], headers={"Accept": "image/png"})
    links = connection.getresponse().headers.get_all("Link")
    connection.close()
    assert any(second["url"] in link and 'rel="alternate"' in link for link in links)
    assert not any(first["url"] in link for link in links)


def test_values_of_a_form_are_texts_that_are_read(called):
    body, headers = form([("value", "7"), ("seconds", "0.0"), ("name", ("name.txt", b"from a file"))])
    status, _, data = asked(called, "/api/v1/workflows/step/run", headers, body, "POST")
    told = json.loads(data)
    assert (status, told["values"]) == (200, {"value": 7, "seconds": 0.0, "name": "from a file"})


def test_no_body_runs_it_as_it_was_saved(called):
    status, _, data = asked(called, "/api/v1/workflows/step/run", method="POST")
    assert (status, json.loads(data)["values"]["value"]) == (200, 1)


# -- later


def test_a_call_that_nobody_waits_for_is_a_job_with_an_address(called, sign):
    path = "/api/v1/workflows/hold/run"
    body = json.dumps({"value": 5, "sign": str(sign)}).encode()
    status, headers, data = asked(called, path, {"Prefer": "respond-async"}, body, "POST")
    told = json.loads(data)
    assert (status, headers["location"]) == (202, told["url"])
    assert headers["preference-applied"] == "respond-async"
    assert told["state"] in ("queued", "running")
    assert told["outputs"] == {}
    status, _, data = asked(called, told["url"], {"Accept": "image/*"})
    assert (status, json.loads(data)["job_id"]) == (202, told["job_id"])
    sign.touch()
    status, _, data = asked(called, told["url"], {"Prefer": "wait=100"})
    assert (status, json.loads(data)["outputs"]["text"]["texts"]) == (200, ["5"])


def test_who_waits_for_a_while_gets_the_job_when_it_takes_longer(called, sign):
    status, told = run(called, "hold", {"sign": str(sign), "value": 6}, Prefer="respond-async, wait=1")
    assert (status, told["state"]) in [(202, "queued"), (202, "running")]
    sign.touch()
    until(lambda: state_of(called, told["job_id"]) == "done", "the job to end")


def test_events_tell_of_a_call_from_its_beginning_to_its_result(called):
    connection = http.client.HTTPConnection("127.0.0.1", called.port, timeout=PATIENCE)
    arguments = {"prompt": "red apple", "steps": 4, "seed": 11}
    connection.request(
        "POST",
        "/api/v1/workflows/text_to_image/run?embed=base64",
        json.dumps(arguments),
        {"Accept": "text/event-stream"},
    )
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/event-stream")
    told = list(events_of(answer))
    connection.close()
    names = [name for name, _ in told]
    assert names[:2] == ["accepted", "started"]
    assert names[-1] == "finished"
    assert {"node", "progress", "preview"} <= set(names)
    ran = [data["class_type"] for name, data in told if name == "node" and data["state"] == "running"]
    assert ran[-1] == "SaveImage"
    last = [data for name, data in told if name == "node"][-1]
    assert last["done"] == last["total"]
    shown = next(data for name, data in told if name == "preview")
    assert base64.b64decode(shown["base64"])[:2] == b"\xff\xd8"
    result = told[-1][1]
    assert (result["state"], result["values"]["seed"]) == ("done", 11)
    assert base64.b64decode(result["outputs"]["image"]["files"][0]["base64"])[:4] == b"\x89PNG"


def test_events_of_a_job_can_be_followed_later_too(called, sign):
    told = run(called, "hold", {"sign": str(sign), "value": 8}, Prefer="respond-async")[1]
    connection = http.client.HTTPConnection("127.0.0.1", called.port, timeout=PATIENCE)
    connection.request("GET", told["url"], headers={"Accept": "text/event-stream"})
    stream = events_of(connection.getresponse())
    assert next(stream)[0] == "accepted"
    sign.touch()
    assert list(stream)[-1][1]["outputs"]["text"]["texts"] == ["8"]
    connection.close()
    data = asked(called, told["url"], {"Accept": "text/event-stream"})[2]
    assert [name for name, _ in events_of(data.splitlines(keepends=True))] == ["accepted", "finished"]


# -- a client that goes away


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize(("wish", "state"), [("continue", "done"), ("cancel", "cancelled")])
def test_the_job_of_a_client_that_goes_away_goes_on_or_is_cancelled(called, sign, accept, wish, state):
    called.notes.unlink(missing_ok=True)
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
    called.notes.unlink(missing_ok=True)
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
    called.notes.unlink(missing_ok=True)
    found, told = run(called, "step", {"value": 78, "name": "forbidden"}, f"?webhook={address}")
    assert (found, told["error"]["type"]) == (status, type)
    assert "forbidden" not in called.noted()


# -- what is refused


BAD = [
    ("step", {"vlaue": 1}, 422, "invalid_arguments"),
    ("step", {"value": "three"}, 422, "invalid_arguments"),
    ("step", {"value": None}, 422, "invalid_arguments"),
    ("step", b"{", 400, "invalid_json"),
    ("step", b"[1]", 400, "invalid_body"),
    ("in/folder/picture", {}, 422, "invalid_arguments"),
    ("in/folder/picture", {"image": {"base64": base64.b64encode(b"no picture").decode()}}, 422, "invalid_arguments"),
    ("in/folder/picture", {"image": "https://example.org/x.png"}, 422, "invalid_arguments"),
    ("in/folder/picture", {"image": "../../etc/passwd"}, 422, "invalid_arguments"),
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


# -- many at once


def test_many_calls_at_once_each_get_their_own_result(called):
    count = 200
    results: dict[int, object] = {}

    def ask(number: int) -> None:
        results[number] = run(called, "step", {"value": number})

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    texts = {number: (status, told["outputs"]["text"]["texts"]) for number, (status, told) in results.items()}
    assert texts == {number: (200, [str(number + 1)]) for number in range(count)}
    assert len({told["job_id"] for _, told in results.values()}) == count
