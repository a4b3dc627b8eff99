"""Saved workflows called over HTTP, on a real server with a real worker."""

from __future__ import annotations

import base64
import http.client
import io
import json
import threading

import pytest
from PIL import Image

from tests.harness import PATIENCE, until
from tests.serving.calling import STEP, WORKFLOWS, asked, events_of, form, picture, run, state_of

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
    picture = told["portraits/framed"]
    assert (picture["runnable"], picture["parameters"]["required"]) == (True, ["image"])
    for path in (picture["url"], picture["url"].replace("portraits/", "portraits%2F")):
        assert called.get(path) == picture
    page = called.get("/api/v1/workflows?limit=2&offset=1")
    assert ([one["name"] for one in page["workflows"]], page["total"]) == (sorted(told)[1:3], len(told))


def test_a_workflow_with_a_picture_beside_it_has_a_thumbnail(called):
    url = called.get("/api/v1/workflows/text_to_image")["thumbnail_url"]
    status, headers, body = asked(called, url)
    assert (status, headers["content-type"], body[:4]) == (200, "image/png", b"\x89PNG")
    assert called.get("/api/v1/workflows/step")["thumbnail_url"] is None
    assert called.ask("GET", "/api/v1/workflows/step/thumbnail")[0] == 404


def test_a_workflow_may_be_called_like_a_part_of_an_address(called):
    for name in ("odd/thumbnail", "odd/run"):
        path = called.base / "workflows" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(STEP))
        assert called.get(f"/api/v1/workflows/{name}")["name"] == name
        assert run(called, name)[1]["workflow"] == name


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
    path = "/api/v1/workflows/portraits%2Fframed/run"
    status, answered, data = asked(called, path, {**headers, "Accept": "image/png"}, body, "POST")
    assert (status, answered["content-type"]) == (200, "image/png")
    with Image.open(io.BytesIO(data)) as found:
        assert (found.size, found.convert("RGB").getpixel((0, 0))) == ((6, 4), (0, 0, 255))
        name = json.loads(found.text["prompt"])["1"]["inputs"]["image"]
    assert (called.base / "input" / name).read_bytes() == picture("blue")
    told = called.get(f"/api/v1/jobs/{answered['safelight-job']}")
    assert told["values"] == {"image": name}
    assert run(called, "portraits/framed", {"image": told["outputs"]["image"]["files"][0]})[0] == 200


@pytest.mark.parametrize("given", ["data", "base64", "name"])
def test_a_picture_may_be_sent_in_json(called, given):
    text = base64.b64encode(picture("green")).decode()
    (called.base / "input").mkdir(exist_ok=True)
    (called.base / "input" / "known.png").write_bytes(picture("green"))
    value = {"data": f"data:image/png;base64,{text}", "base64": {"base64": text}, "name": "known.png"}[given]
    status, told = run(called, "portraits/framed", {"image": value}, "?embed=base64")
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


def test_addresses_are_those_that_a_proxy_shows(called):
    status, told = run(called, "twice", {}, X_Forwarded_Prefix="/safelight")
    assert (status, told["url"]) == (200, f"/safelight/api/v1/jobs/{told['job_id']}")
    assert told["outputs"]["image"]["files"][0]["url"].startswith("/safelight/api/view?")


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
