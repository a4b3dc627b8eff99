"""What a call gave, from what its job left behind; and in which form a client wants it."""

from __future__ import annotations

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from engine.graph.signature import Output
from engine.jobs.records import Job, Outcome
from engine.server.refusals import Refusal
from engine.server.workflows.results import KEY, CallRecord, ended_result, record_of, waiting_result
from engine.server.workflows.told import failure_of, result_json
from engine.server.workflows.wishes import EVENTS, JSON, read_wishes

RECORD = CallRecord(
    workflow="draw",
    values={"seed": 5},
    outputs=(Output(name="image", node="9", kind="image"), Output(name="count", node="8", kind="text")),
    notes=("Take care.",),
)


def job(extra=None, **facts):
    told = msgspec.json.encode({KEY: RECORD} if extra is None else extra)
    return Job(id="a/b", number=1, sequence=1, prompt=b"{}", outputs=("9",), extra_data=told, created=1.0, **facts)


def outcome(status="done", shown=None, meta=None, **facts):
    encode = msgspec.json.encode
    nodes = {"9": {"status": "ran", "seconds": 0.5}, "7": {"status": "reused"}, "6": {"status": "remade"}}
    return Outcome(
        status=status, ended=5.0, outputs=encode(shown or {}), meta=encode(meta or {}), nodes=encode(nodes), **facts
    )


PICTURE = {"filename": "a.png", "subfolder": "x", "type": "output"}


def test_outputs_have_their_names_with_files_and_texts():
    shown = {"9": {"images": [PICTURE], "animated": [False]}, "8": {"text": ["3", 4]}, "1": {"images": [PICTURE]}}
    result = ended_result(job(started=2.0), outcome(shown=shown))
    assert (result.workflow, result.values, result.notes, result.seconds) == ("draw", {"seed": 5}, ("Take care.",), 3.0)
    assert [one.media_type for one in result.outputs["image"].files] == ["image/png"]
    assert result.outputs["count"].texts == ("3", "4")
    assert set(result.outputs) == {"image", "count"}
    assert ([one.node for one in result.ran], result.reused) == (["9"], ("7", "6"))
    assert result.files("image/")[0].url == "/api/view?filename=a.png&subfolder=x&type=output"
    assert result.files("video/") == []


def test_what_expanded_nodes_showed_is_the_output_of_the_node_they_belong_to():
    shown = {"9.0.1": {"images": [PICTURE]}, "9.0.2": {"images": [{**PICTURE, "filename": "b.png"}]}}
    meta = {"9.0.1": {"display_node": "9"}, "9.0.2": {"display_node": "9"}}
    assert len(ended_result(job(), outcome(shown=shown, meta=meta)).outputs["image"].files) == 2


@pytest.mark.parametrize("extra", [{}, {KEY: 5}, {KEY: {"workflow": 5}}, {"other": 1}])
def test_a_job_that_is_no_call_has_outputs_by_node(extra):
    shown = {"9": {"gifs": [{**PICTURE, "filename": "a.mp4"}]}, "3": {"text": ["x"]}}
    result = ended_result(job(extra), outcome(shown=shown))
    kinds = {name: (one.kind, len(one.files), one.texts) for name, one in result.outputs.items()}
    assert kinds == {"node_9": ("video", 1, ()), "node_3": ("text", 0, ("x",))}
    assert record_of(job(extra)).workflow == ""


def test_a_failed_call_tells_why_and_not_where_this_machine_keeps_things():
    error = msgspec.json.encode({"exception_message": "No.", "node_id": "9", "node_type": "K", "traceback": ["secret"]})
    result = ended_result(job(), outcome("failed", error=error))
    refusal = failure_of(result, "/below")
    assert (refusal.status, refusal.message) == (500, "Node 9 (K): No.")
    assert refusal.extra_info["url"] == "/below/api/v1/jobs/a%2Fb"
    assert "secret" not in str(result_json(result, ""))
    assert failure_of(ended_result(job(), outcome("cancelled")), "").status == 409
    assert failure_of(ended_result(job(), outcome()), "") is None


def test_a_call_that_waits_says_what_for():
    told = result_json(waiting_result(job(held="A pack is missing.")), "")
    assert (told["state"], told["waits_for"], told["outputs"]) == ("queued", "A pack is missing.", {})


def wishes(query="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_wishes(make_mocked_request("POST", f"/x{query}", headers=named))


@pytest.mark.parametrize(
    ("accept", "forms"),
    [
        ("*/*", (JSON,)),
        ("image/png", ("image/png",)),
        ("image/*;q=0.5, application/json", (JSON, "image/*")),
        ("text/event-stream, application/json", (EVENTS, JSON)),
        ("text/html,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", ("image/avif", "image/webp", JSON)),
        ("image/png;q=0, */*;q=0.1", (JSON,)),
        ("IMAGE/PNG ; Q=1", ("image/png",)),
        (", ;", (JSON,)),
    ],
)
def test_the_best_form_comes_first(accept, forms):
    assert wishes(Accept=accept).forms == forms


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("respond-async", 0.0),
        ("wait=5", 5.0),
        ("respond-async, wait=7", 7.0),
        ('wait="3"', 3.0),
        ("handling=lenient", None),
    ],
)
def test_how_long_a_client_waits(prefer, seconds):
    assert wishes(Prefer=prefer).wait == seconds


def test_what_there_is_not_is_refused():
    for headers in ({"Accept": "application/pdf"}, {"Accept": "application/json;q=0"}):
        with pytest.raises(Refusal) as raised:
            wishes(**headers)
        assert raised.value.status == 406
    for prefer in ("wait=-1", "wait=", "wait=1.5", "wait=١"):
        with pytest.raises(Refusal) as raised:
            wishes(Prefer=prefer)
        assert raised.value.status == 400


@pytest.mark.parametrize(
    ("accept", "kinds", "fits"),
    [
        ("image/png", ["image"], True),
        ("image/png", ["video"], False),
        ("image/png", ["text"], False),
        ("image/png, application/json;q=0.1", ["text"], True),
        ("model/*", ["mesh"], True),
        ("image/png", ["file"], True),
        ("text/event-stream", [], True),
    ],
)
def test_a_form_that_no_output_can_have_is_refused_before_anything_runs(accept, kinds, fits):
    found = wishes(Accept=accept)
    if fits:
        found.check_kinds(kinds)
    else:
        with pytest.raises(Refusal, match="gives"):
            found.check_kinds(kinds)
