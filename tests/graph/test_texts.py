"""Dynamic prompts: what is resolved, and from which seed. The editor's tests read the same file of cases."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from engine.graph.formats import load
from engine.graph.layout import prompt_to_workflow
from engine.graph.parameters import set_value
from engine.graph.schema import Catalogue
from engine.graph.texts import Drawing, kept_seed, resolve, with_seed
from engine.graph.workflow import workflow_to_prompt

CASES = json.loads((Path(__file__).parent / "cases" / "dynamic_texts.json").read_text(encoding="utf-8"))


@pytest.fixture
def dynamic(catalogue) -> Catalogue:
    """The catalogue, in which the texts of encoders are dynamic prompts."""
    spec = catalogue.spec("CLIPTextEncode")
    inputs = [
        msgspec.structs.replace(one, options={"dynamicPrompts": True}) if one.name == "text" else one
        for one in spec.inputs
    ]
    catalogue.add(msgspec.structs.replace(spec, inputs=tuple(inputs)))
    return catalogue


def saved(text_to_image, catalogue, text, **extra):
    text_to_image["6"]["inputs"]["text"] = text
    return {**prompt_to_workflow(text_to_image, catalogue), "extra": extra}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:30])
def test_a_text_and_a_seed_give_the_same_text_everywhere(case):
    drawing = Drawing(with_seed({}, case["seed"]))
    assert drawing.resolve(case["text"], case["node"], case["input"]) == case["resolved"]
    assert drawing.drawn == case["drawn"]


@pytest.mark.parametrize(("number", "taken"), [(0.0, "a"), (0.33, "a"), (0.34, "b"), (0.999999, "c")])
def test_each_option_is_as_likely_as_the_others(number, taken):
    assert resolve("{a|b|c}", lambda: number) == taken


def test_options_that_are_not_taken_draw_nothing():
    drawn = []

    def draw():
        drawn.append(1)
        return 0.0

    assert resolve("{x|{a|b}|{c|d}} {only} {y|z}", draw) == "x only y"
    assert len(drawn) == 2


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("{" * 100_000, ""),
        ("{a|" * 50_000, ""),
        ("{a" * 50_000 + "}" * 50_000, "a" * 50_000),
        ("/* " * 50_000, "/* " * 50_000),
        ("//x\n" * 50_000, "\n" * 50_000),
        ("\\\\" * 50_000, "\\\\" * 50_000),
    ],
    ids=["open", "options", "nested", "comments", "lines", "escapes"],
)
def test_any_text_is_resolved_in_one_pass_over_it(text, resolved):
    assert resolve(text, lambda: 0.999) == resolved


def test_choices_are_drawn_as_a_workflow_becomes_a_prompt_and_their_seed_is_kept(dynamic, text_to_image):
    workflow = saved(text_to_image, dynamic, "a {red|green|blue} apple // not this")
    loaded = load(workflow, dynamic)
    text = loaded.prompt["6"]["inputs"]["text"]
    assert text in ("a red apple ", "a green apple ", "a blue apple ")
    assert kept_seed(loaded.workflow) is not None
    assert kept_seed(workflow) is None  # what was given is left as it is
    assert {load(loaded.workflow, dynamic).prompt["6"]["inputs"]["text"] for _ in range(5)} == {text}


def test_without_a_seed_each_run_draws_anew(dynamic, text_to_image):
    workflow = saved(text_to_image, dynamic, "{a|b}" * 40)
    assert len({workflow_to_prompt(workflow, dynamic).prompt["6"]["inputs"]["text"] for _ in range(3)}) == 3


def test_a_workflow_without_choices_carries_no_seed(dynamic, text_to_image):
    loaded = load(saved(text_to_image, dynamic, "an {apple} /* red */", other=1), dynamic)
    assert loaded.prompt["6"]["inputs"]["text"] == "an apple "
    assert loaded.workflow["extra"] == {"other": 1}


def test_a_seed_is_kept_beside_what_else_a_workflow_says():
    workflow = {"nodes": [], "extra": {"ds": {}, "safelight": {"parameters": []}}}
    assert with_seed(workflow, 5)["extra"] == {"ds": {}, "safelight": {"parameters": [], "text_seed": 5}}
    for wrong in (
        {},
        {"extra": 5},
        {"extra": {"safelight": {"text_seed": -1}}},
        {"extra": {"safelight": {"text_seed": True}}},
    ):
        assert kept_seed(wrong) is None


def test_texts_of_other_inputs_and_of_prompts_stay_as_they_are(dynamic, text_to_image):
    text_to_image["9"]["inputs"]["filename_prefix"] = "{a|b}//c"
    text_to_image["6"]["inputs"]["text"] = "{a|a}"
    loaded = load(prompt_to_workflow(text_to_image, dynamic), dynamic)
    assert loaded.prompt["9"]["inputs"]["filename_prefix"] == "{a|b}//c"
    assert load(text_to_image, dynamic).prompt["6"]["inputs"]["text"] == "{a|a}"


def test_a_text_that_an_instance_shows_goes_as_it_is(dynamic):
    text, own = "{a|a} // x", "{b|b} // y"
    widget = {"name": "text", "widget": {"name": "text"}, "link": 1}
    linked = {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 5, "target_slot": 0}
    definition = {
        "id": "S",
        "inputs": [{"name": "text"}],
        "nodes": [
            {"id": 5, "type": "CLIPTextEncode", "inputs": [widget], "widgets_values": [own]},
            {"id": 6, "type": "CLIPTextEncode", "widgets_values": [own]},
            {"id": 7, "type": "CLIPTextEncode", "widgets_values": [own]},
        ],
        "links": [linked],
    }

    def texts(values, proxies=()):
        instance = {"id": 1, "type": "S", "widgets_values": values, "properties": {"proxyWidgets": list(proxies)}}
        saved = {"nodes": [instance], "links": [], "definitions": {"subgraphs": [definition]}}
        prompt = workflow_to_prompt(saved, dynamic).prompt
        return [prompt[f"1:{inner}"]["inputs"]["text"] for inner in (5, 6, 7)]

    assert texts([text]) == [text, "b ", "b "]
    assert texts([]) == [own, "b ", "b "]
    assert texts([text, text], [["-1", "text"], ["7", "text"]]) == [text, "b ", text]


def test_a_text_that_is_set_is_drawn_too_and_the_workflow_keeps_it_as_it_was_written(dynamic, text_to_image):
    loaded = load(saved(text_to_image, dynamic, "a pear"), dynamic)
    set_value(loaded.prompt, "prompt", "a {red|green} apple", dynamic, loaded.workflow)
    text = loaded.prompt["6"]["inputs"]["text"]
    assert text in ("a red apple", "a green apple")
    again = load(loaded.workflow, dynamic)
    assert again.prompt["6"]["inputs"]["text"] == text
    assert any("a {red|green} apple" in (node.get("widgets_values") or ()) for node in loaded.workflow["nodes"])
    set_value(text_to_image, "6.text", "{x|y}", dynamic)
    assert text_to_image["6"]["inputs"]["text"] == "{x|y}"  # a prompt alone is left to its client
