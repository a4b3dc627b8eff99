from __future__ import annotations

import json
import subprocess
import sys

import pytest

from engine.graph.formats import detect_format, load, loads
from engine.graph.layout import prompt_to_workflow
from engine.graph.problems import GraphError


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, "empty"),
        ([], "unknown"),
        ("text", "unknown"),
        ({"1": {"class_type": "A", "inputs": {}}}, "prompt"),
        ({"nodes": [], "links": [], "version": 0.4}, "workflow"),
        ({"nodes": {"a": {}}, "edges": []}, "invokeai"),
        ({"prompt": {"1": {}}, "client_id": "x"}, "envelope"),
        ({"prompt": "a cat", "steps": 20}, "a1111"),
        ({"_class_name": "UNet2DConditionModel"}, "diffusers"),
        ({"hello": 1}, "unknown"),
    ],
)
def test_formats_are_told_apart(data, expected):
    assert detect_format(data) == expected


def test_a_graph_is_found_in_every_form(catalogue, text_to_image):
    workflow = prompt_to_workflow(text_to_image, catalogue)
    forms = [
        text_to_image,
        workflow,
        {"prompt": text_to_image},
        {"prompt": workflow},
        {"workflow": workflow},
        {"output": text_to_image, "workflow": workflow},
    ]
    for form in forms:
        loaded = load(form, catalogue)
        found = {k: (n["class_type"], n["inputs"]) for k, n in loaded.prompt.items()}
        assert found == {k: (n["class_type"], n["inputs"]) for k, n in text_to_image.items()}
        assert loaded.problems == []


def test_what_clients_post_with_a_graph_comes_along(catalogue, text_to_image):
    extra = {"extra_pnginfo": {"workflow": {"nodes": [], "id": "mine"}}}
    loaded = load({"prompt": text_to_image, "extra_data": extra, "client_id": "me"}, catalogue)
    assert loaded.extra_data == extra
    assert loaded.workflow == {"nodes": [], "id": "mine"}


def test_text_may_have_a_byte_order_mark(catalogue, text_to_image):
    assert loads(b"\xef\xbb\xbf" + json.dumps(text_to_image).encode(), catalogue).prompt == text_to_image


@pytest.mark.parametrize(
    ("text", "details"),
    [
        ('{"1": }', "line 1, column 7"),
        ("", "line 1, column 1"),
        (b"\xff\xfe{}", "not UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "digits"),
    ],
)
def test_broken_json_is_a_problem_with_its_place(catalogue, text, details):
    with pytest.raises(GraphError) as caught:
        loads(text, catalogue)
    assert [one.type for one in caught.value.problems] == ["invalid_json"]
    assert details in caught.value.problems[0].details


@pytest.mark.parametrize(
    "data", [{"prompt": {"a": 1}}, {"extra_data": 5}, 5, None, {"prompt": {"nodes": [], "edges": []}}]
)
def test_anything_else_is_refused(catalogue, data):
    with pytest.raises(GraphError):
        load(data, catalogue)


def test_reading_and_checking_a_sound_graph_needs_neither_networkx_nor_torch():
    code = """
import sys
from engine.graph.formats import load
from engine.graph.parameters import set_value
from engine.graph.schema import Catalogue, InputSpec, NodeSpec
from engine.graph.topology import order
from engine.graph.validate import check
catalogue = Catalogue([NodeSpec(name="N", inputs=(InputSpec(name="steps", type="INT"),), output_node=True)])
loaded = load({"1": {"class_type": "N", "inputs": {"steps": 1}}}, catalogue)
set_value(loaded.prompt, "steps", "2", catalogue)
checked = check(loaded.prompt, catalogue, choices=lambda files: ()).require()
assert order(checked.prompt, checked.outputs) == ["1"]
assert not {"networkx", "torch", "numpy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


OLD_LOADER = {
    "id": 1,
    "type": "CheckpointLoader",
    "inputs": [{"name": "ckpt_name", "type": "COMBO", "widget": {"name": "ckpt_name"}}],
}


def test_the_loader_that_earlier_versions_saved_has_its_name_of_today_and_the_fields_own_keeps_it(catalogue):
    saved = {
        "nodes": [{**OLD_LOADER, "outputs": [{"type": "MODEL", "links": [1]}], "widgets_values": ["a.safetensors"]}]
    }
    posted = {"1": {"class_type": "CheckpointLoader", "inputs": {"ckpt_name": "a.safetensors"}}}
    for data in (saved, posted, {"prompt": posted}):
        entry = load(data, catalogue).prompt["1"]
        assert (entry["class_type"], entry["inputs"]) == ("CheckpointLoaderSimple", {"ckpt_name": "a.safetensors"})
    of_the_field = {"1": {"class_type": "CheckpointLoader", "inputs": {"ckpt_name": "a", "config_name": "b.yaml"}}}
    assert load(of_the_field, catalogue).prompt == of_the_field


def test_a_loader_that_an_older_version_saved_in_a_workflow_is_the_plain_one_at_every_level():
    from engine.graph.renamed import renamed_nodes

    old, field = (
        {"id": 1, "type": "CheckpointLoader", "widgets_values": values} for values in (["a"], ["v1.yaml", "a"])
    )
    saved = {"nodes": [old, field], "definitions": {"subgraphs": [{"id": "s", "nodes": [old]}]}}
    found = renamed_nodes(saved)
    assert [one["type"] for one in found["nodes"]] == ["CheckpointLoaderSimple", "CheckpointLoader"]
    assert found["definitions"]["subgraphs"][0]["nodes"][0]["type"] == "CheckpointLoaderSimple"
    assert renamed_nodes({"nodes": [field]}) == {"nodes": [field]}


def test_a_text_format_that_was_saved_with_the_inputs_of_before_has_the_field_s():
    from engine.graph.renamed import renamed, renamed_nodes

    before = {"template": "{a} of {b}", "a": ["1", 0], "b": 3}
    prompt = {"2": {"class_type": "StringFormat", "inputs": before}, "3": {"class_type": "Other", "inputs": before}}
    made = renamed(prompt)
    assert made["2"]["inputs"] == {"f_string": "{a} of {b}", "values.a": ["1", 0], "values.b": 3}
    assert made["3"] is prompt["3"]
    text = {"name": "template", "type": "STRING", "link": None, "widget": {"name": "template"}}
    node = {"type": "StringFormat", "inputs": [{"name": "a", "type": "*", "link": 9}, text], "widgets_values": ["{a}"]}
    [found] = renamed_nodes({"nodes": [node]})["nodes"]
    assert found["inputs"] == [
        {"name": "values.a", "type": "*", "link": 9},
        {"name": "f_string", "type": "STRING", "link": None, "widget": {"name": "f_string"}},
    ]
    assert renamed_nodes({"nodes": [found]}) == {"nodes": [found]}
