"""What saved workflows hold for nodes of the field comes out at the input that it was put in: which inputs have widgets, and which not."""

from __future__ import annotations

from typing import Any

import pytest

from engine.graph.workflow import workflow_to_prompt

SAVED = [
    (
        "TextGenerate",
        ["a", 2048, "on", 0.6, 64, 0.8, 0.05, 1.05, 7, 0.5, True, False, "off"],
        {
            "prompt": "a",
            "max_length": 2048,
            "sampling_mode.repetition_penalty": 1.05,
            "sampling_mode.seed": 7,
            "sampling_mode.presence_penalty": 0.5,
            "thinking": True,
            "use_default_template": False,
            "mtp": "off",
        },
    ),
    ("SAM3_Detect", [0.25, 3, True], {"threshold": 0.25, "refine_iterations": 3, "individual_masks": True}),
]


@pytest.mark.parametrize(("kind", "values", "wanted"), SAVED)
def test_every_saved_value_is_that_of_its_input(builtin_catalogue: Any, kind: str, values: Any, wanted: Any) -> None:
    workflow = {"nodes": [{"id": 1, "type": kind, "widgets_values": values}], "links": [], "version": 0.4}
    inputs = workflow_to_prompt(workflow, builtin_catalogue).prompt["1"]["inputs"]
    assert {name: inputs.get(name) for name in wanted} == wanted
    assert "bboxes" not in inputs
    assert "system_prompt" not in inputs


def combo(**more: Any) -> dict[str, Any]:
    """A choice that stands first within a subgraph."""
    return {"id": 1, "type": "CustomCombo", "widgets_values": ["b", 1, "a", "b", "c", ""], **more}


def test_a_custom_choice_tells_its_options_and_its_place(builtin_catalogue: Any) -> None:
    workflow = {"nodes": [combo()], "links": [], "version": 0.4}
    assert workflow_to_prompt(workflow, builtin_catalogue).prompt["1"]["inputs"] == {
        "choice": "b",
        "index": 1,
        "option1": "a",
        "option2": "b",
        "option3": "c",
        "option4": "",
    }


def test_the_place_is_that_of_the_choice_that_a_subgraph_shows(builtin_catalogue: Any) -> None:
    shown = {"name": "choice", "type": "COMBO", "widget": {"name": "choice"}}
    inner = {
        "id": "s",
        "nodes": [combo(inputs=[{**shown, "link": 7}])],
        "inputs": [{"name": "choice", "type": "COMBO", "linkIds": [7]}],
        "outputs": [],
        "links": [{"id": 7, "origin_id": -10, "origin_slot": 0, "target_id": 1, "target_slot": 0, "type": "COMBO"}],
    }
    host = {"id": 5, "type": "s", "inputs": [{**shown, "link": None}], "widgets_values": ["c"]}
    workflow = {"nodes": [host], "links": [], "definitions": {"subgraphs": [inner]}, "version": 0.4}
    inputs = workflow_to_prompt(workflow, builtin_catalogue).prompt["5:1"]["inputs"]
    assert (inputs["choice"], inputs["index"]) == ("c", 2)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("DifferentialDiffusion", {"strength"}),
        ("TextGenerate", {"thinking", "use_default_template", "mtp", "system_prompt"}),
        ("SAM3_Detect", {"bboxes", "positive_coords", "negative_coords"}),
    ],
)
def test_what_older_prompts_do_without_need_not_be_there(builtin_catalogue: Any, kind: str, names: set[str]) -> None:
    spec = builtin_catalogue.spec(kind)
    assert {one.name for one in spec.inputs if one.required}.isdisjoint(names)
    assert names <= {one.name for one in spec.inputs}
