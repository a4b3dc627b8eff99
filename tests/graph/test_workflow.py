from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.graph.layout import prompt_to_workflow
from engine.graph.schema import Files, InputSpec, NodeSpec
from engine.graph.validate import check
from engine.graph.widgets import named_values
from engine.graph.workflow import workflow_to_prompt
from engine.graph.workflow_edit import write_value

PAIRS = Path(__file__).parent.parent / "interop"


def saved(name):
    return json.loads((PAIRS / f"{name}.workflow.json").read_text())


# ---- names of widget values


def test_a_seeds_extra_value_is_passed_over_in_new_and_old_files(catalogue):
    spec = catalogue.spec("KSampler")
    expected = {"seed": 7, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}
    for extra in ("randomize", True):
        node = {"widgets_values": [7, extra, 20, 8, "euler", "normal", 1]}
        assert named_values(node, spec) == expected


def test_an_uploads_extra_value_may_stand_behind_a_later_widget():
    spec = NodeSpec(
        name="LoadImageMask",
        inputs=(
            InputSpec(name="image", type="COMBO", choices=Files("input"), options={"image_upload": True}),
            InputSpec(name="channel", type="COMBO", choices=("alpha", "red")),
        ),
    )
    for values in (["cat.png", "alpha", "image"], ["cat.png", "image", "alpha"], ["cat.png", "alpha"]):
        assert named_values({"widgets_values": values}, spec) == {"image": "cat.png", "channel": "alpha"}


def test_required_widgets_come_before_optional_ones():
    spec = NodeSpec(
        name="N",
        inputs=(InputSpec(name="a", type="INT", required=False), InputSpec(name="b", type="STRING")),
    )
    assert named_values({"widgets_values": ["text", 3]}, spec) == {"b": "text", "a": 3}


def test_values_of_a_known_class_are_in_its_order_whatever_the_file_lists(catalogue):
    spec = catalogue.spec("EmptyLatentImage")
    node = {
        "inputs": [{"name": n, "type": "INT", "widget": {"name": n}} for n in ("height", "width", "batch_size")],
        "widgets_values": [32, 64, 1],
    }
    assert named_values(node, spec) == {"width": 32, "height": 64, "batch_size": 1}
    node["inputs"] = node["inputs"][:1]  # an old file lists only the widgets that were turned into inputs
    assert named_values(node, spec) == {"width": 32, "height": 64, "batch_size": 1}


def test_a_node_that_lists_more_widgets_than_its_class_has_values_for_all_of_them(catalogue):
    names = ("width", "ratio", "height", "batch_size", "button")
    node = {"inputs": [{"name": n, "widget": {"name": n}} for n in names], "widgets_values": [8, "1:1", 16, 1, "go"]}
    assert named_values(node, catalogue.spec("EmptyLatentImage")) == {
        "width": 8,
        "ratio": "1:1",
        "height": 16,
        "batch_size": 1,
        "button": "go",
    }


def test_values_by_name_tell_those_of_unknown_classes():
    named = {"seed": 1, "control_after_generate": "fixed", "image": "a.png", "upload": "image"}
    assert named_values({"widgets_values": [7, "fixed", "b.png", "image"], "widgets_values_named": named}, None) == {
        "seed": 7,
        "image": "b.png",
    }  # the list is what counts; the names say what stands in it
    assert named_values({"widgets_values": [7], "widgets_values_named": named}, None) == {"seed": 1, "image": "a.png"}
    assert named_values({"widgets_values_named": named}, None) == {"seed": 1, "image": "a.png"}


def test_values_by_name_alone_are_read_as_far_as_the_class_has_them(catalogue):
    node = {"widgets_values_named": {"width": 8, "ratio": "1:1"}}
    assert named_values(node, catalogue.spec("EmptyLatentImage")) == {"width": 8}


def test_of_an_unknown_class_the_last_values_may_be_missing():
    names = [{"name": n, "widget": {"name": n}} for n in ("g.x", "g", "seed", "end")]
    found = named_values({"inputs": names, "widgets_values": ["mode", 1, 5, "fixed"]}, None)
    assert found == {"g": "mode", "g.x": 1, "seed": 5, "end": "fixed"}  # a choice stands before what it brings
    assert named_values({"inputs": names, "widgets_values": ["mode", 1]}, None) == {"g": "mode", "g.x": 1}


def test_values_that_nobody_can_name_are_none():
    assert named_values({"widgets_values": [1, 2]}, None) is None
    assert named_values({}, None) == {}


# ---- whole workflows


def test_an_unknown_type_is_reported_and_the_rest_still_converts(catalogue, files, text_to_image):
    workflow = prompt_to_workflow(text_to_image, catalogue)
    next(node for node in workflow["nodes"] if node["id"] == 7)["type"] = "FancyEncode"
    converted = workflow_to_prompt(workflow, catalogue)
    assert converted.prompt["7"]["inputs"] == {"text": "blurry", "clip": ["4", 1]}
    checked = check(converted.prompt, catalogue, choices=files)
    assert [(one.type, one.node_id) for one in checked.problems] == [("missing_node_type", "7")]


def test_a_group_node_of_old_files_is_taken_apart(catalogue):
    inner = [
        {
            "type": "ImageInvert",
            "index": 0,
            "inputs": [{"name": "image", "type": "IMAGE"}],
            "outputs": [{"type": "IMAGE"}],
        },
        {
            "type": "ImageBlend",
            "index": 1,
            "inputs": [{"name": "image1", "type": "IMAGE"}, {"name": "image2", "type": "IMAGE"}],
            "outputs": [{"type": "IMAGE"}],
            "widgets_values": [0.5],
        },
    ]
    workflow = {
        "nodes": [
            {"id": 1, "type": "LoadImage", "widgets_values": ["cat.png", "image"], "outputs": [{"links": [1, 2]}]},
            {
                "id": 2,
                "type": "workflow>Ghost",
                "inputs": [{"name": "image", "link": 1}, {"name": "image2", "link": 2}],
                "outputs": [{"type": "IMAGE", "links": [3]}],
                "widgets_values": [0.25],
            },
            {"id": 3, "type": "PreviewImage", "inputs": [{"name": "images", "link": 3}]},
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 1, 0, 2, 1, "IMAGE"], [3, 2, 0, 3, 0, "IMAGE"]],
        "extra": {"groupNodes": {"Ghost": {"nodes": inner, "links": [[0, 0, 1, 0, 7, "IMAGE"]]}}},
    }
    prompt = workflow_to_prompt(workflow, catalogue).prompt
    assert {k: v["inputs"] for k, v in prompt.items()} == {
        "1": {"image": "cat.png"},
        "2:0": {"image": ["1", 0]},
        "2:1": {"image1": ["2:0", 0], "image2": ["1", 0], "blend_factor": 0.25},
        "3": {"images": ["2:1", 0]},
    }


def test_a_subgraph_that_contains_itself_is_a_problem(catalogue):
    definition = {"id": "S", "name": "Loop", "nodes": [{"id": 1, "type": "S"}], "links": []}
    workflow = {"nodes": [{"id": 1, "type": "S"}], "links": [], "definitions": {"subgraphs": [definition]}}
    assert [one.type for one in workflow_to_prompt(workflow, catalogue).problems] == ["subgraph_recursion"]


def test_subgraphs_that_multiply_are_stopped(catalogue):
    levels = [
        {"id": f"S{n}", "nodes": [{"id": i, "type": f"S{n + 1}"} for i in range(50)], "links": []} for n in range(12)
    ]
    workflow = {"nodes": [{"id": 1, "type": "S0"}], "links": [], "definitions": {"subgraphs": levels}}
    assert {one.type for one in workflow_to_prompt(workflow, catalogue).problems} == {"subgraph_recursion"}


def test_reroutes_that_go_round_lead_nowhere(catalogue):
    workflow = {
        "nodes": [
            {"id": 1, "type": "Reroute", "inputs": [{"name": "", "link": 1}], "outputs": [{"links": [1, 2]}]},
            {"id": 2, "type": "PreviewImage", "inputs": [{"name": "images", "link": 2}]},
        ],
        "links": [[1, 1, 0, 1, 0, "*"], [2, 1, 0, 2, 0, "*"]],
    }
    assert workflow_to_prompt(workflow, catalogue).prompt["2"]["inputs"] == {}


def test_malformed_nodes_and_links_are_left_out_and_told(catalogue):
    workflow = {"nodes": [5, {"id": 1}, {"id": 2, "type": "PreviewImage"}], "links": [["x"], 7, [1, {}, 0, 2, 0, "*"]]}
    converted = workflow_to_prompt(workflow, catalogue)
    assert list(converted.prompt) == ["2"]
    assert [one.type for one in converted.problems] == ["invalid_workflow"] * 5


def test_a_long_chain_of_reroutes_is_followed(catalogue):
    nodes = [{"id": 0, "type": "LoadImage", "widgets_values": ["cat.png"], "outputs": [{"links": [1]}]}]
    nodes += [{"id": n, "type": "Reroute", "inputs": [{"name": "", "link": n}]} for n in range(1, 5000)]
    nodes += [{"id": 5000, "type": "PreviewImage", "inputs": [{"name": "images", "link": 5000}]}]
    links = [[n, n - 1, 0, n, 0, "*"] for n in range(1, 5001)]
    prompt = workflow_to_prompt({"nodes": nodes, "links": links}, catalogue).prompt
    assert prompt["5000"]["inputs"] == {"images": ["0", 0]}


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-12, 5) | st.floats() | st.sampled_from(["S", "image", "1", "Reroute"]),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["name", "link", "widget", "id"]), inner)
    ),
    max_leaves=6,
)


def mostly(good):
    return good | good | good | junk


ids = mostly(st.integers(0, 4) | st.sampled_from([-10, -20]))
types = mostly(
    st.sampled_from(["S", "Reroute", "PrimitiveNode", "SetNode", "GetNode", "ImageInvert", "LoadImage", "Odd"])
)
slots = st.fixed_dictionaries({"name": mostly(st.just("image")), "link": ids}, optional={"widget": junk, "type": junk})
nodes = st.fixed_dictionaries(
    {"id": ids, "type": types},
    optional={
        "mode": st.sampled_from([0, 2, 4]),
        "inputs": mostly(st.lists(mostly(slots), max_size=3)),
        "outputs": mostly(st.lists(mostly(slots), max_size=2)),
        "widgets_values": junk,
        "properties": junk | st.fixed_dictionaries({"proxyWidgets": junk}),
    },
)
links = st.tuples(ids, ids, ids, ids, ids, st.just("*")).map(list)
level = {"nodes": mostly(st.lists(mostly(nodes), max_size=6)), "links": mostly(st.lists(mostly(links), max_size=8))}
definitions = st.fixed_dictionaries({**level, "id": mostly(st.just("S")), "inputs": junk})
workflows = st.fixed_dictionaries(
    level,
    optional={
        "definitions": mostly(st.fixed_dictionaries({"subgraphs": mostly(st.lists(mostly(definitions), max_size=2))})),
        "extra": mostly(
            st.fixed_dictionaries(
                {},
                optional={
                    "ue_links": junk,
                    "groupNodes": mostly(st.dictionaries(st.just("S"), mostly(st.fixed_dictionaries(level)))),
                },
            )
        ),
    },
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(workflow=workflows)
def test_no_workflow_makes_the_conversion_raise(catalogue, files, workflow):
    converted = workflow_to_prompt(workflow, catalogue)
    json.dumps([one.details for one in converted.problems])
    check(converted.prompt, catalogue, choices=files)
    write_value(workflow, "1", "image", "dog.png", catalogue)
    write_value(workflow, "1:2", "image", "dog.png", catalogue)


# ---- writing a value back


def test_a_value_written_into_a_workflow_is_in_its_prompt(catalogue, text_to_image):
    workflow = prompt_to_workflow(text_to_image, catalogue)
    for node_id, name, value in (("3", "seed", 99), ("3", "denoise", 0.5), ("6", "text", "a pear")):
        assert write_value(workflow, node_id, name, value, catalogue)
        assert workflow_to_prompt(workflow, catalogue).prompt[node_id]["inputs"][name] == value
    assert not write_value(workflow, "3", "nothing", 1, catalogue)
    assert not write_value(workflow, "77", "seed", 1, catalogue)


def test_a_value_reaches_through_a_primitive_and_into_a_subgraph(catalogue):
    workflow = saved("canvas_only_nodes")
    assert write_value(workflow, "5", "blend_factor", 0.75, catalogue)
    assert workflow_to_prompt(workflow, catalogue).prompt["5"]["inputs"]["blend_factor"] == 0.75
    workflow = saved("widget_values_in_every_form")
    assert write_value(workflow, "3", "fps", 24, catalogue)
    assert workflow_to_prompt(workflow, catalogue).prompt["3"]["inputs"]["fps"] == 24
