from __future__ import annotations

import pytest

from engine.graph.layout import prompt_to_workflow
from engine.graph.parameters import parameters, set_value
from engine.graph.problems import GraphError
from engine.graph.workflow import workflow_to_prompt


def places(prompt, catalogue, workflow=None):
    return {one.name: f"{one.node}.{one.input}" for one in parameters(prompt, catalogue, workflow)}


def refusal(prompt, key, value, catalogue, workflow=None):
    with pytest.raises(GraphError) as caught:
        set_value(prompt, key, value, catalogue, workflow)
    return caught.value.problems[0]


def test_the_texts_that_reach_a_sampler_are_prompt_and_negative(catalogue, text_to_image):
    found = places(text_to_image, catalogue)
    assert found["prompt"] == "6.text"
    assert found["negative"] == "7.text"
    assert "text" not in found


def test_names_that_occur_once_are_parameters_with_type_and_value(catalogue, text_to_image):
    found = {one.name: one for one in parameters(text_to_image, catalogue)}
    assert (found["seed"].node, found["seed"].type, found["seed"].default) == ("3", "INT", 1)
    assert (found["width"].node, found["filename_prefix"].default) == ("5", "apple")


def test_conditioning_is_followed_through_what_changes_it_keeping_the_sides_apart(catalogue, text_to_image):
    text_to_image["20"] = {
        "class_type": "ControlNetApplyAdvanced",
        "inputs": {"positive": ["6", 0], "negative": ["7", 0], "strength": 1.0},
    }
    text_to_image["3"]["inputs"].update(positive=["20", 0], negative=["20", 1])
    found = places(text_to_image, catalogue)
    assert (found["prompt"], found["negative"]) == ("6.text", "7.text")


def test_a_text_made_by_another_node_is_set_there(catalogue, text_to_image):
    text_to_image["30"] = {"class_type": "PrimitiveString", "inputs": {"value": "a pear"}}
    text_to_image["6"]["inputs"]["text"] = ["30", 0]
    assert places(text_to_image, catalogue)["prompt"] == "30.value"


def test_two_combined_prompts_are_ambiguous_and_the_error_names_them(catalogue, text_to_image):
    text_to_image["10"] = {"class_type": "CLIPTextEncode", "inputs": {"text": "a pear", "clip": ["4", 1]}}
    text_to_image["11"] = {
        "class_type": "ConditioningCombine",
        "inputs": {"conditioning_1": ["6", 0], "conditioning_2": ["10", 0]},
    }
    text_to_image["3"]["inputs"]["positive"] = ["11", 0]
    problem = refusal(text_to_image, "prompt", "a plum", catalogue)
    assert problem.type == "ambiguous_parameter"
    assert "6.text (CLIPTextEncode)" in problem.expected
    assert "10.text (CLIPTextEncode)" in problem.expected


def test_names_that_a_workflow_declares_come_first(catalogue, text_to_image):
    workflow = prompt_to_workflow(text_to_image, catalogue)
    workflow["extra"]["safelight"] = {
        "parameters": [
            {"name": "prompt", "node": 7, "input": "text"},
            {"name": "strength", "node": "3", "input": "denoise"},
            {"name": "gone", "node": "99", "input": "x"},
            "junk",
        ]
    }
    found = places(text_to_image, catalogue, workflow)
    assert found["prompt"] == "7.text"
    assert found["strength"] == "3.denoise"
    assert "gone" not in found
    assert "denoise" not in found
    set_value(text_to_image, "denoise", "0.5", catalogue, workflow)
    assert text_to_image["3"]["inputs"]["denoise"] == 0.5


@pytest.mark.parametrize(
    ("key", "text", "node", "name", "expected"),
    [
        ("prompt", "red apple", "6", "text", "red apple"),
        ("prompt", "123", "6", "text", "123"),
        ("seed", "7", "3", "seed", 7),
        ("cfg", "7", "3", "cfg", 7.0),
        ("3.steps", "5", "3", "steps", 5),
        ("KSampler.steps", "5", "3", "steps", 5),
        ("My sampler.steps", "5", "3", "steps", 5),
        ("sampler_name", "heun", "3", "sampler_name", "heun"),
        ("ckpt_name", "other.safetensors", "4", "ckpt_name", "other.safetensors"),
        ("seed", 11, "3", "seed", 11),
    ],
)
def test_a_value_is_read_by_its_declared_type(catalogue, text_to_image, key, text, node, name, expected):
    text_to_image["3"]["_meta"] = {"title": "My sampler"}
    done = set_value(text_to_image, key, text, catalogue)
    value = text_to_image[node]["inputs"][name]
    assert (value, type(value)) == (expected, type(expected))
    assert (done.node, done.input, done.default) == (node, name, expected)


def test_a_choice_of_numbers_is_set_as_a_number(catalogue):
    prompt = {"2": {"class_type": "Resize", "inputs": {"image": ["1", 0], "factor": 1}}}
    set_value(prompt, "factor", "4", catalogue)
    assert prompt["2"]["inputs"]["factor"] == 4


def test_an_input_that_is_not_there_yet_can_be_set(catalogue):
    prompt = {"2": {"class_type": "Resize", "inputs": {"image": ["1", 0], "factor": 1}}}
    set_value(prompt, "2.note", "hello", catalogue)
    assert prompt["2"]["inputs"]["note"] == "hello"


@pytest.mark.parametrize(
    ("key", "value", "kind", "words"),
    [
        ("steps", "many", "invalid_input_type", "INT from 1 to 10000"),
        ("sede", "1", "unknown_parameter", "Did you mean seed"),
        ("3.stepz", "1", "unknown_parameter", "Did you mean 3.steps"),
        ("99.steps", "1", "unknown_parameter", "one of prompt, negative"),
        ("CLIPTextEncode.text", "x", "ambiguous_parameter", "6.text (CLIPTextEncode), 7.text"),
        ("text", "x", "ambiguous_parameter", "6.text (CLIPTextEncode), 7.text"),
    ],
)
def test_a_wrong_name_or_value_is_told_with_what_would_do(catalogue, text_to_image, key, value, kind, words):
    problem = refusal(text_to_image, key, value, catalogue)
    assert problem.type == kind
    assert words in f"{problem.expected} {problem.hint}"


def test_the_workflow_is_changed_along_with_the_prompt(catalogue, text_to_image):
    workflow = prompt_to_workflow(text_to_image, catalogue)
    set_value(text_to_image, "prompt", "a pear", catalogue, workflow)
    set_value(text_to_image, "seed", "42", catalogue, workflow)
    again = workflow_to_prompt(workflow, catalogue).prompt
    assert again["6"]["inputs"]["text"] == "a pear"
    assert again["3"]["inputs"]["seed"] == 42
