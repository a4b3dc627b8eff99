"""A saved workflow as a typed function: what it takes, what it gives, and what a call of it is refused for."""

from __future__ import annotations

import pytest

from engine.graph.arguments import call, check_arguments, needed
from engine.graph.layout import prompt_to_workflow
from engine.graph.parameters import Parameter
from engine.graph.problems import GraphError
from engine.graph.schema import Catalogue, Files, InputSpec, NodeSpec, OutputSpec
from engine.graph.signature import signature_of
from engine.graph.signature_schema import arguments_schema
from engine.graph.workflow import workflow_to_prompt


def names(prompt, catalogue, workflow=None):
    return {one.name: f"{one.node}.{one.input}" for one in signature_of(prompt, catalogue, workflow).parameters}


def declare(workflow, *entries, **more):
    workflow["extra"]["safelight"] = {"parameters": list(entries), **more}
    return workflow


def refused(signature, given, catalogue, files, **options):
    with pytest.raises(GraphError) as caught:
        check_arguments(signature, given, catalogue, files, **options)
    return {one.input_name: one for one in caught.value.problems}


def test_where_nothing_is_declared_prompt_seed_steps_and_size_are_inferred(catalogue, text_to_image):
    found = names(text_to_image, catalogue)
    assert found["prompt"] == "6.text"
    assert found["negative"] == "7.text"
    assert found["seed"] == "3.seed"
    assert (found["width"], found["height"]) == ("5.width", "5.height")
    assert "filename_prefix" not in found


def test_of_two_samplers_the_one_that_runs_first_has_the_plain_names_whatever_the_ids(catalogue, text_to_image):
    second = {"class_type": "KSampler", "inputs": {**text_to_image["3"]["inputs"], "latent_image": ["3", 0], "seed": 2}}
    graph = {"1": second, **text_to_image}
    graph["8"] = {**graph["8"], "inputs": {**graph["8"]["inputs"], "samples": ["1", 0]}}
    found = names(graph, catalogue)
    assert (found["seed"], found["seed_2"]) == ("3.seed", "1.seed")


def test_a_number_that_another_node_holds_is_set_there(catalogue, text_to_image):
    text_to_image["30"] = {"class_type": "PrimitiveString", "inputs": {"value": "a pear"}}
    text_to_image["6"]["inputs"]["text"] = ["30", 0]
    assert names(text_to_image, catalogue)["prompt"] == "30.value"


def test_only_a_file_that_becomes_a_mask_goes_by_that_name():
    files = Files("input")
    picked = InputSpec(name="image", type="COMBO", choices=files, options={"image_upload": True}, required=True)
    specs = {
        "Shows": NodeSpec(name="Shows", version="", inputs=(picked,), outputs=(), output_node=True),
        "Loads": NodeSpec(
            name="Loads",
            version="",
            inputs=(picked,),
            outputs=(OutputSpec(name="mask", type="MASK"),),
            output_node=True,
        ),
    }
    found = {
        kind: list(names({"1": {"class_type": kind, "inputs": {"image": "a.png"}}}, Catalogue(specs.values())))
        for kind in specs
    }
    assert found == {"Shows": ["image"], "Loads": ["mask"]}


def test_what_a_workflow_declares_is_all_that_it_takes(catalogue, text_to_image):
    workflow = declare(
        prompt_to_workflow(text_to_image, catalogue),
        {"name": "subject", "node": 6, "input": "text", "doc": "What to draw."},
        {"name": "quality", "node": "3", "input": "steps", "min": 4, "max": 30, "default": 12},
        doc="Draws one thing.",
        outputs=[{"name": "picture", "node": "9"}],
    )
    signature = signature_of(text_to_image, catalogue, workflow)
    assert [one.name for one in signature.parameters] == ["subject", "quality"]
    assert signature.doc == "Draws one thing."
    assert [(one.name, one.kind) for one in signature.outputs] == [("picture", "image")]
    assert signature.parameters[0].doc == "What to draw."


def test_a_declared_range_narrows_the_nodes_own_and_never_widens_it(catalogue, text_to_image, files):
    workflow = declare(
        prompt_to_workflow(text_to_image, catalogue),
        {"name": "steps", "node": "3", "input": "steps", "min": 4, "max": 99_999_999},
    )
    signature = signature_of(text_to_image, catalogue, workflow)
    spec = signature.parameters[0].spec
    assert (spec.ge, spec.le) == (4, 10_000)
    assert refused(signature, {"steps": 3}, catalogue, files)["steps"].type == "value_smaller_than_min"


def test_a_declared_default_runs_when_nothing_is_given(catalogue, text_to_image, files):
    entry = {"name": "steps", "node": "3", "input": "steps", "default": 7}
    workflow = declare(prompt_to_workflow(text_to_image, catalogue), entry)
    signature = signature_of(text_to_image, catalogue, workflow)
    made = call(text_to_image, workflow, signature, check_arguments(signature, {}, catalogue, files), catalogue)
    assert made.prompt["3"]["inputs"]["steps"] == 7
    assert workflow_to_prompt(made.workflow, catalogue).prompt["3"]["inputs"]["steps"] == 7
    assert text_to_image["3"]["inputs"]["steps"] == 20


def renumbered(workflow, old, new):
    for node in workflow["nodes"]:
        node["id"] = new if node["id"] == old else node["id"]
    for link in workflow["links"]:
        link[1], link[3] = (new if one == old else one for one in (link[1], link[3]))
    return workflow


@pytest.mark.parametrize("kept_by", ["the node itself", "type and title"])
def test_a_name_survives_that_an_editor_numbers_the_nodes_anew(catalogue, text_to_image, kept_by):
    workflow = prompt_to_workflow(text_to_image, catalogue)
    entry = {"name": "first", "node": "6", "input": "text"}
    node = next(one for one in workflow["nodes"] if str(one["id"]) == "6")
    if kept_by == "the node itself":
        node.setdefault("properties", {})["safelight"] = {"parameters": {"text": "first"}}
    else:
        node["title"] = "Subject"
        entry |= {"class_type": "CLIPTextEncode", "title": "Subject"}
    declare(workflow, entry)
    again = renumbered(renumbered(workflow, 6, 77), 4, 6)  # and its number goes to another node
    prompt = workflow_to_prompt(again, catalogue).prompt
    assert names(prompt, catalogue, again) == {"first": "77.text"}


def test_a_declared_input_that_is_gone_is_told_and_the_others_stay(catalogue, text_to_image):
    workflow = declare(
        prompt_to_workflow(text_to_image, catalogue),
        {"name": "gone", "node": "99", "input": "x"},
        {"name": "prompt", "node": "6", "input": "text"},
    )
    signature = signature_of(text_to_image, catalogue, workflow)
    assert [one.name for one in signature.parameters] == ["prompt"]
    assert [(one.type, one.received, one.stops) for one in signature.problems] == [("parameter_gone", "gone", False)]


def test_everything_wrong_with_a_call_is_told_at_once(catalogue, text_to_image, files):
    signature = signature_of(text_to_image, catalogue)
    given = {"sede": 1, "steps": 0, "cfg": "5", "prompt": 3, "width": 10**9, "sampler_name": "eulr"}
    found = refused(signature, given, catalogue, files)
    assert {name: one.type for name, one in found.items()} == {
        "sede": "unknown_parameter",
        "steps": "value_smaller_than_min",
        "cfg": "invalid_input_type",
        "prompt": "invalid_input_type",
        "width": "value_bigger_than_max",
        "sampler_name": "value_not_in_list",
    }
    assert "seed" in found["sede"].hint
    assert "euler" in found["sampler_name"].hint
    assert found["steps"].message.startswith("steps: ")


@pytest.mark.parametrize(("given", "value"), [("5", 5), ("5.5", 5.5)])
def test_text_of_a_form_is_read_by_type(catalogue, text_to_image, files, given, value):
    signature = signature_of(text_to_image, catalogue)
    assert check_arguments(signature, {"cfg": given}, catalogue, files, as_text=True) == {"cfg": value}


def test_a_missing_value_without_default_is_refused(catalogue, text_to_image, files):
    entry = {"name": "prompt", "node": "6", "input": "text", "required": True}
    signature = signature_of(text_to_image, catalogue, declare(prompt_to_workflow(text_to_image, catalogue), entry))
    assert refused(signature, {}, catalogue, files)["prompt"].type == "missing_parameter"
    assert arguments_schema(signature, files)["required"] == ["prompt"]


@pytest.mark.parametrize(
    ("named", "is_missing"), [("a.png", False), ("made.png [output]", False), ("b.png", True), ("b.png [output]", True)]
)
def test_a_file_is_missing_when_it_is_in_none_of_the_folders_that_its_name_means(named, is_missing):
    picture = InputSpec(name="image", type="COMBO", choices=Files("input"), options={"image_upload": True})
    parameter = Parameter(name="image", node="1", input="image", type="COMBO", default=named, spec=picture)
    listed = {"input": ["a.png"], "output": ["made.png"]}
    assert needed(parameter, lambda files: listed[files.folder]) is is_missing


def test_a_random_seed_is_drawn_and_told(catalogue, text_to_image, files):
    signature = signature_of(text_to_image, catalogue)
    drawn = {check_arguments(signature, {"seed": "random"}, catalogue, files)["seed"] for _ in range(3)}
    assert len(drawn) == 3
    assert all(0 <= seed < 2**53 for seed in drawn)


def test_the_schema_says_types_bounds_and_choices(catalogue, text_to_image, files):
    schema = arguments_schema(signature_of(text_to_image, catalogue), files)
    assert schema["additionalProperties"] is False
    steps = schema["properties"]["steps"]
    assert (steps["type"], steps["minimum"], steps["maximum"], steps["default"]) == ("integer", 1, 10_000, 20)
    assert "euler" in schema["properties"]["sampler_name"]["enum"]
