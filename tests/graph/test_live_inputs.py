"""Inputs that a choice brings, that grow, and that share a type: checked before a run as they are declared."""

from __future__ import annotations

from typing import Any

import pytest

from engine.graph.prompt import Link
from engine.graph.schema import Catalogue, InputSpec, NodeSpec, OutputSpec
from engine.graph.validate import check

NUMBER = {"default": 64, "min": 16, "max": 512}
WAYS = [{"key": "crop", "inputs": {"required": {"side": ["COMBO", {"options": ["left", "right"]}]}}}]
SIZED = {
    "required": {"width": ["INT", NUMBER], "fit": ["COMFY_DYNAMICCOMBO_V3", {"options": WAYS}]},
    "optional": {"picture": ["IMAGE", {}]},
}
MODE = InputSpec(
    name="mode",
    type="COMFY_DYNAMICCOMBO_V3",
    options={"options": [{"key": "plain", "inputs": {}}, {"key": "sized", "inputs": SIZED}]},
)
TEMPLATE = {"template_id": "T", "allowed_types": "IMAGE,MASK"}


def growing(name: str, kind: str, options: dict[str, Any], section: str = "required", **how: Any) -> InputSpec:
    template = {"input": {section: {"one": [kind, options]}}, **how}
    return InputSpec(name=name, type="COMFY_AUTOGROW_V3", required=False, options={"template": template})


def match(name: str, **facts: Any) -> InputSpec:
    return InputSpec(name=name, type="IMAGE,MASK", options={"template": TEMPLATE}, **facts)


SEVERAL = InputSpec(name="value", type="FLOAT,INT,STRING", widget="FLOAT", ge=0, le=10)
CATALOGUE = Catalogue(
    [
        NodeSpec(name="Choose", inputs=(MODE,), output_node=True, open_inputs=True),
        NodeSpec(
            name="Grow",
            inputs=(
                growing("ns", "INT", {"min": 0, "max": 9}, prefix="n", min=2, max=4),
                growing("sides", "FLOAT", {}, "optional", names=["left", "right"], min=2),
            ),
            output_node=True,
            open_inputs=True,
        ),
        NodeSpec(
            name="GrowAlike",
            inputs=(growing("ms", "COMFY_MATCHTYPE_V3", {"template": TEMPLATE}, prefix="m", min=1, max=3),),
            output_node=True,
            open_inputs=True,
        ),
        NodeSpec(name="Match", inputs=(match("a"), match("b", required=False)), output_node=True),
        NodeSpec(name="Several", inputs=(SEVERAL,), output_node=True),
        NodeSpec(
            name="Make",
            outputs=tuple(OutputSpec(name=kind, type=kind) for kind in ("IMAGE", "MASK", "INT", "*", "IMAGE,MASK")),
        ),
    ]
)
IMAGE, MASK, INT, ANY, EITHER = ([str(9), slot] for slot in range(5))


def checked(kind: str, inputs: dict[str, Any]) -> Any:
    graph = {"1": {"class_type": kind, "inputs": inputs}, "9": {"class_type": "Make", "inputs": {}}}
    return check(graph, CATALOGUE, choices=lambda files: ())


def told(kind: str, inputs: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(one.type, one.input_name) for one in checked(kind, inputs).problems]


WHOLE = {"mode": "sized", "mode.width": 64, "mode.fit": "crop", "mode.fit.side": "left"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"mode.picture": IMAGE}, []),
        ({"mode": "round"}, [("value_not_in_list", "mode")]),
        ({"mode": None}, [("value_not_in_list", "mode")]),
        ({"mode": {"mode": "sized"}}, [("value_not_in_list", "mode")]),
        ({"mode": ...}, [("required_input_missing", "mode")]),
        ({"mode.width": ...}, [("required_input_missing", "mode.width")]),
        ({"mode.width": 8}, [("value_smaller_than_min", "mode.width")]),
        ({"mode.width": 513}, [("value_bigger_than_max", "mode.width")]),
        ({"mode.width": None}, [("invalid_input_type", "mode.width")]),
        ({"mode.width": IMAGE}, [("return_type_mismatch", "mode.width")]),
        ({"mode.picture": MASK}, [("return_type_mismatch", "mode.picture")]),
        ({"mode.picture": "cat.png"}, [("invalid_input_type", "mode.picture")]),
        ({"mode.fit": "stretch"}, [("value_not_in_list", "mode.fit")]),
        ({"mode.fit.side": "up"}, [("value_not_in_list", "mode.fit.side")]),
        ({"mode.fit.side": ...}, [("required_input_missing", "mode.fit.side")]),
        ({"mode.other": IMAGE}, [("unexpected_input", "mode.other")]),
        ({"mode": "plain", "mode.picture": IMAGE}, [("unexpected_input", "mode.picture")]),
    ],
)
def test_a_choice_asks_for_its_inputs_as_they_are_declared(change, expected):
    inputs = {name: value for name, value in {**WHOLE, **change}.items() if value is not ...}
    assert told("Choose", inputs) == expected


def test_values_within_a_choice_are_read_and_those_of_another_choice_left_out():
    assert checked("Choose", {**WHOLE, "mode.width": "70"}).prompt["1"].inputs["mode.width"] == 70
    found = checked("Choose", {**WHOLE, "mode": "plain"})
    assert found.ok
    assert found.prompt["1"].inputs == {"mode": "plain"}


def test_a_choice_that_a_link_makes_may_bring_any_input():
    found = checked("Choose", {"mode": ANY, "mode.width": "70", "mode.picture": MASK})
    assert found.ok
    assert found.prompt["1"].inputs["mode.picture"] == Link("9", 1)


def test_an_unknown_choice_is_told_with_those_there_are():
    [problem] = checked("Choose", {**WHOLE, "mode": "siz"}).problems
    assert (problem.expected, problem.hint) == ("one of plain, sized", "Did you mean sized?")


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"ns.n0": 1, "ns.n1": INT}, []),
        ({"ns.n0": 1, "ns.n1": 2, "ns.n3": 3, "sides.right": 0.5}, []),
        ({"ns.n0": 1}, [("required_input_missing", "ns.n1")]),
        ({}, [("required_input_missing", "ns.n0"), ("required_input_missing", "ns.n1")]),
        ({"ns.n0": 1, "ns.n1": 10}, [("value_bigger_than_max", "ns.n1")]),
        ({"ns.n0": 1, "ns.n1": MASK}, [("return_type_mismatch", "ns.n1")]),
        ({"ns.n0": 1, "ns.n1": 2, "ns.n4": 3}, [("unexpected_input", "ns.n4")]),
        ({"ns.n0": 1, "ns.n1": 2, "sides.top": 3}, [("unexpected_input", "sides.top")]),
    ],
)
def test_inputs_that_grow_are_counted_and_read_as_their_template_says(inputs, expected):
    assert told("Grow", inputs) == expected


def test_one_too_many_is_told_with_those_there_are():
    [problem] = checked("Grow", {"ns.n0": 1, "ns.n1": 2, "ns.n4": 3}).problems
    assert problem.details == "ns.n4: ns takes at most 4 inputs: ns.n0 to ns.n3"


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("Match", {"a": IMAGE, "b": IMAGE}, []),
        ("Match", {"a": IMAGE, "b": ANY}, []),
        ("Match", {"a": EITHER, "b": MASK}, []),
        ("Match", {"a": MASK}, []),
        ("Match", {"a": INT}, [("return_type_mismatch", "a")]),
        ("Match", {"a": IMAGE, "b": MASK}, [("return_type_mismatch", "b")]),
        ("GrowAlike", {"ms.m0": MASK, "ms.m1": MASK, "ms.m2": EITHER}, []),
        ("GrowAlike", {"ms.m0": MASK, "ms.m1": EITHER, "ms.m2": IMAGE}, [("return_type_mismatch", "ms.m2")]),
    ],
)
def test_inputs_of_one_template_have_one_type(kind, inputs, expected):
    assert told(kind, inputs) == expected


def test_a_link_that_breaks_the_match_is_told_with_the_one_it_should_be_like():
    [problem] = checked("Match", {"a": IMAGE, "b": MASK}).problems
    assert problem.details == "b: received MASK, expected IMAGE as at a"
    assert problem.linked_node == MASK


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2.5, 2.5),
        (3, 3),
        ("text", "text"),
        (True, 1.0),
        (10, 10),
        (11, "value_bigger_than_max"),
        (-0.5, "value_smaller_than_min"),
        (None, "invalid_input_type"),
        (float("nan"), "invalid_input_type"),
        ({}, "invalid_input_type"),
        (IMAGE, "return_type_mismatch"),
    ],
)
def test_an_input_of_several_types_takes_a_value_of_each_and_keeps_the_range_of_its_widget(value, expected):
    found = checked("Several", {"value": value})
    got = found.problems[0].type if found.problems else found.prompt["1"].inputs["value"]
    assert (got, type(got)) == (expected, type(expected))
