"""Saved nodes whose inputs depend on a choice, or grow as they are linked."""

from __future__ import annotations

from typing import Any

from engine.graph.layout import prompt_to_workflow
from engine.graph.schema import Catalogue, InputSpec, NodeSpec, OutputSpec
from engine.graph.widgets import named_values, value_index
from engine.graph.workflow import workflow_to_prompt

SIZED = {
    "required": {"width": ["INT", {"default": 64}], "seed": ["INT", {"control_after_generate": True}]},
    "optional": {"picture": ["IMAGE", {}], "fit": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "crop", "inputs": {
        "required": {"left": ["INT", {}]}}}]}]},
}  # fmt: skip
MODE = InputSpec(
    name="mode",
    type="COMFY_DYNAMICCOMBO_V3",
    options={"options": [{"key": "plain", "inputs": {"required": {}}}, {"key": "sized", "inputs": SIZED}]},
)
NUMBERS = InputSpec(
    name="ns",
    type="COMFY_AUTOGROW_V3",
    required=False,
    options={"template": {"input": {"required": {"n": ["INT", {}]}}, "min": 1, "prefix": "n", "max": 4}},
)
LAST = InputSpec(name="last", type="STRING", required=False)
SPEC = NodeSpec(name="Fit", inputs=(MODE, LAST), output_node=True, open_inputs=True)
GROWS = NodeSpec(name="Grow", inputs=(MODE, NUMBERS, LAST), output_node=True, open_inputs=True)
MAKES = NodeSpec(name="Make", outputs=(OutputSpec(name="IMAGE", type="IMAGE"),))
CATALOGUE = Catalogue([SPEC, GROWS, MAKES])


def node(values: Any, *inputs: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, "type": "Fit", "inputs": list(inputs), "widgets_values": values}


def test_the_values_after_a_choice_belong_to_the_inputs_that_it_brings():
    assert named_values(node(["plain", "end"]), SPEC) == {"mode": "plain", "last": "end"}
    assert named_values(node(["sized", 5, 7, "randomize", "crop", 2, "end"]), SPEC) == {
        "mode": "sized",
        "mode.width": 5,
        "mode.seed": 7,
        "mode.fit": "crop",
        "mode.fit.left": 2,
        "last": "end",
    }


def test_a_choice_that_is_gone_brings_nothing():
    assert named_values(node(["round", "end"]), SPEC) == {"mode": "round", "last": "end"}


def test_the_values_of_grown_inputs_are_those_of_the_inputs_that_the_node_lists():
    grown = [{"name": f"ns.n{at}", "widget": {"name": f"ns.n{at}"}} for at in range(2)]
    assert named_values(node([3, 4, "plain", "end"], *grown), GROWS) == {
        "ns.n0": 3,
        "ns.n1": 4,
        "mode": "plain",
        "last": "end",
    }


def test_where_linked_inputs_alone_are_listed_one_more_has_a_value():
    linked = {"name": "ns.n1", "widget": {"name": "ns.n1"}, "link": 1}
    found = named_values(node([3, 4, 0, "sized", 5, 7, "fixed", "crop", 2, "end"], linked), GROWS)
    assert found is not None
    assert (found["ns.n0"], found["ns.n2"], found["mode"], found["last"]) == (3, 0, "sized", "end")
    assert named_values(node([3, 4, "plain", "end"]), GROWS) == {
        "ns.n0": 3,
        "ns.n1": 4,
        "mode": "plain",
        "last": "end",
    }


def test_a_value_within_a_choice_is_found_in_its_list():
    assert value_index(node(["sized", 5, 7, "fixed", "crop", 2, "end"]), SPEC, "mode.fit.left") == 5


def test_a_saved_node_becomes_the_prompt_that_names_inputs_by_their_group():
    picture = {"name": "mode.picture", "type": "IMAGE", "link": 1}
    made = {"id": 2, "type": "Make", "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]}
    workflow = {
        "nodes": [node(["sized", 5, 7, "fixed", "crop", 2, "end"], picture), made],
        "links": [[1, 2, 0, 1, 0, "IMAGE"]],
    }
    inputs = workflow_to_prompt(workflow, CATALOGUE).prompt["1"]["inputs"]
    assert inputs["mode"] == "sized"
    assert inputs["mode.width"] == 5
    assert inputs["mode.fit.left"] == 2
    assert inputs["mode.picture"] == ["2", 0]


def test_a_prompt_comes_back_the_same_from_the_workflow_made_of_it():
    prompt = {
        "1": {
            "class_type": "Grow",
            "inputs": {"mode": "sized", "mode.width": 9, "mode.picture": ["2", 0], "last": "z"},
        },
        "2": {"class_type": "Make", "inputs": {}},
    }
    workflow = prompt_to_workflow(prompt, CATALOGUE)
    assert all(slot["type"] != "COMFY_AUTOGROW_V3" for one in workflow["nodes"] for slot in one["inputs"])
    assert workflow_to_prompt(workflow, CATALOGUE).prompt["1"]["inputs"] == prompt["1"]["inputs"]
