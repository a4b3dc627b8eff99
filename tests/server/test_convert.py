from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import FormData
from PIL import Image

from engine.graph.a1111 import NoFiles
from engine.graph.validate import check
from engine.graph.widgets import declared_value
from engine.media.png import encode_png
from engine.server.limits import Limits
from engine.server.routes.convert import convert_routes

FIELD = sorted((Path(__file__).parent.parent / "interop/examples").glob("*.workflow.json"))
CANVAS_ONLY = {"upload", "choose file to upload", "video-preview"}
PROMPT = {"1": {"class_type": "PrimitiveInt", "inputs": {"value": 3}, "_meta": {"title": "PrimitiveInt"}}}
UNKNOWN = {
    "1": {"class_type": "Nowhere", "inputs": {"value": 3, "text": "a"}},
    "2": {"class_type": "Elsewhere", "inputs": {"from": ["1", 1], "factor": 0.5}},
}


@pytest.fixture
def asked(guarded, builtin_catalogue):
    """POST each body to /api/v1/convert of one server: (status, JSON) of each."""

    def ask(bodies, query="", limits=None):
        async def get():
            return builtin_catalogue

        async def talk():
            answers = []
            async with guarded(convert_routes(get, NoFiles()), limits=limits) as client:
                for body in bodies:
                    async with client.post(f"/api/v1/convert{query}", data=body) as answer:
                        answers.append((answer.status, await answer.json()))
            return answers

        return asyncio.run(talk())

    return ask


def encoded(value):
    return json.dumps(value).encode()


def test_a_prompt_is_answered_as_it_came(asked):
    ((status, body),) = asked([encoded({"prompt": PROMPT, "client_id": "x"})])
    assert (status, body) == (200, {"prompt": PROMPT, "problems": [], "missing_node_types": []})


def test_a_prompt_becomes_a_workflow_and_comes_back(asked):
    ((_, there),) = asked([encoded(PROMPT)], "?to=workflow")
    assert [node["type"] for node in there["workflow"]["nodes"]] == ["PrimitiveInt"]
    ((_, back),) = asked([encoded(there["workflow"])])
    assert back["prompt"]["1"]["inputs"] == PROMPT["1"]["inputs"]


def test_unknown_node_types_are_named_and_lose_nothing(asked):
    ((_, there),) = asked([encoded(UNKNOWN)], "?to=workflow")
    ((_, back),) = asked([encoded(there["workflow"])])
    assert there["missing_node_types"] == back["missing_node_types"] == ["Elsewhere", "Nowhere"]
    assert {node_id: node["inputs"] for node_id, node in back["prompt"].items()} == {
        node_id: node["inputs"] for node_id, node in UNKNOWN.items()
    }


def test_a_saved_workflow_is_answered_with_all_its_keys(asked):
    workflow = {"nodes": [], "links": [], "version": 0.4, "ours": {"kept": [1, None]}}
    ((_, body),) = asked([encoded(workflow)], "?to=workflow")
    assert body["workflow"] == workflow


def test_a_picture_is_taken_as_the_body_and_as_a_file_of_a_form(asked):
    data = encode_png(Image.new("RGB", (2, 2)), PROMPT, None)
    form = FormData()
    form.add_field("note", "a field before it")
    form.add_field("file", data, filename="cat.png", content_type="image/png")
    for status, body in asked([data, form]):
        assert (status, body["prompt"]) == (200, PROMPT)


SETTINGS = "cat\nSteps: 4, Sampler: Euler, CFG scale: 5, Seed: 7, Size: 64x64, Model: tiny, RNG: CPU, Version: v1.9"


def test_settings_of_the_web_ui_become_a_graph_that_is_sound_but_for_the_files(asked, builtin_catalogue):
    for query in ("", "?to=workflow"):
        ((status, body),) = asked([SETTINGS.encode()], query)
        assert (status, body["problems"], body["missing_node_types"]) == (200, [], [])
        assert [(one["type"], one["details"]) for one in body["notes"]] == [("file_not_here", "tiny (checkpoints)")]
        found = check(body["prompt"], builtin_catalogue, choices=lambda files: ["tiny.safetensors"])
        assert (found.problems, len(found.outputs)) == ([], 1)
        assert {node["type"] for node in body["workflow"]["nodes"]} >= {"KSampler", "MarkdownNote"}
    ((status, body),) = asked([SETTINGS[:40].encode()])
    assert (status, body["error"]["type"]) == (400, "settings_cut_off")


def test_what_is_no_graph_is_refused_with_a_reason(asked):
    form = FormData({"note": "no file"}, default_to_multipart=True)
    plain = encode_png(Image.new("RGB", (2, 2)), None, None)
    bodies = [b"", b"{", b"{}", b'{"a": 1}', plain, b"[" * 5000, form]
    answers = asked(bodies)
    assert [status for status, _ in answers] == [400] * len(bodies)
    types = [body["error"]["type"] for _, body in answers]
    assert types == [
        "invalid_json",
        "invalid_json",
        "no_prompt",
        "unknown_format",
        "no_graph_in_file",
        "invalid_json",
        "missing_file",
    ]
    assert all(body["error"]["message"] for _, body in answers)


def test_a_circle_cannot_be_laid_out(asked):
    circle = {
        one: {"class_type": "PreviewAny", "inputs": {"source": [two, 0]}} for one, two in (("1", "2"), ("2", "1"))
    }
    ((status, body),) = asked([encoded(circle)], "?to=workflow")
    assert (status, body["error"]["type"]) == (400, "dependency_cycle")


def test_an_unknown_form_is_refused(asked):
    ((status, body),) = asked([encoded(PROMPT)], "?to=poem")
    assert (status, body["error"]["type"]) == (400, "invalid_query")


def test_a_file_beyond_the_limit_is_refused(asked):
    form = FormData()
    form.add_field("file", bytes(20_000), filename="a.bin")
    answers = asked([bytes(20_000), form], limits=Limits(max_body=10_000))
    assert [status for status, _ in answers] == [413, 413]


def test_every_workflow_of_the_field_gives_its_prompt_as_far_as_its_nodes_are_known(asked, builtin_catalogue):
    prompts = [json.loads(path.with_name(path.name.replace(".workflow.", ".prompt.")).read_text()) for path in FIELD]
    answers = asked([path.read_bytes() for path in FIELD])
    whole = 0
    for path, prompt, (status, body) in zip(FIELD, prompts, answers, strict=True):
        missing = {node["class_type"] for node in prompt.values()} - {*known(prompt, builtin_catalogue)}
        assert (status, body["problems"]) == (200, []), path.name
        assert set(body["missing_node_types"]) == missing, path.name
        theirs = with_newer_inputs(prompt, body["prompt"], builtin_catalogue)
        assert compared(body["prompt"], builtin_catalogue) == compared(theirs, builtin_catalogue), path.name
        whole += not missing
    assert whole >= 20


def known(prompt, catalogue):
    return {node["class_type"] for node in prompt.values() if node["class_type"] in catalogue}


def with_newer_inputs(prompt, converted, catalogue):
    """`prompt` with the defaults of widgets that its nodes have learnt since: a conversion has a value for each."""
    full = {}
    for node_id, node in prompt.items():
        spec = catalogue.spec(node["class_type"])
        inputs = converted[node_id]["inputs"] if spec is not None else {}
        newer = {
            one.name: declared_value(one) for one in (spec.inputs if spec else ()) if one.name not in node["inputs"]
        }
        full[node_id] = {
            **node,
            "inputs": {**node["inputs"], **{name: newer[name] for name in newer if name in inputs}},
        }
    return full


def compared(prompt, catalogue):
    """Nodes with their links; with their values too where the type is known, since old files do not name the values."""
    return {
        node_id: (
            node["class_type"],
            {
                name: value
                for name, value in node["inputs"].items()
                if name not in CANVAS_ONLY and (isinstance(value, list) or node["class_type"] in catalogue)
            },
        )
        for node_id, node in prompt.items()
    }
