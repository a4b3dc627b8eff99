"""Inputs with a widget of a pack's own: a value of theirs is any JSON, also where links carry the type."""

from __future__ import annotations

from typing import Any

import pytest

from engine.graph.schema import Catalogue, InputSpec, NodeSpec, OutputSpec
from engine.graph.validate import check
from engine.graph.widgets import named_values, value_list
from engine.plugins.adapters.declaration import input_spec
from engine.server.routes.object_info_form import node_form

CURVE = InputSpec(name="curve", type="CURVE", widget="pack.curve", default=[0, 1])
PLAIN = InputSpec(name="plain", type="SPLINE", required=False)
SPEC = NodeSpec(name="Bend", inputs=(CURVE, PLAIN, InputSpec(name="n", type="INT", default=1)), output_node=True)
MAKES = NodeSpec(
    name="Line", outputs=(OutputSpec(name="CURVE", type="CURVE"), OutputSpec(name="SPLINE", type="SPLINE"))
)
CATALOGUE = Catalogue([SPEC, MAKES])


def checked(**inputs: Any) -> Any:
    graph = {"1": {"class_type": "Bend", "inputs": inputs}, "2": {"class_type": "Line", "inputs": {}}}
    return check(graph, CATALOGUE, choices=lambda files: ())


@pytest.mark.parametrize("value", ["text", 5, True, {"points": [1, 2]}])
def test_any_json_is_a_value(value):
    found = checked(curve=value, n=1)
    assert not found.problems
    assert found.prompt["1"].inputs["curve"] == value


def test_a_list_is_a_value_when_it_says_so():
    assert checked(curve={"__value__": [1, 2]}, n=1).prompt["1"].inputs["curve"] == [1, 2]


def test_a_missing_value_is_a_problem_and_its_default_is_told_even_if_that_is_a_list():
    [problem] = checked(n=1).problems
    assert (problem.type, problem.input_config) == ("required_input_missing", ["CURVE", {"default": [0, 1]}])


def test_a_link_is_taken_all_the_same():
    assert not checked(curve=["2", 0], n=1).problems


def test_a_type_without_a_widget_must_be_linked():
    [problem] = checked(curve=1, plain="text", n=1).problems
    assert problem.type == "invalid_input_type"


def test_editors_are_told_its_name_and_save_its_value_among_those_of_the_others():
    form = node_form(SPEC, "Bend", lambda files: None)  # type: ignore[arg-type,return-value]
    assert form["input"]["required"]["curve"] == ["CURVE", {"default": [0, 1], "widgetType": "pack.curve"}]
    assert value_list(SPEC, {"curve": {"a": 1}, "n": 7}) == [{"a": 1}, 7]
    assert named_values({"widgets_values": [{"a": 1}, 7]}, SPEC) == {"curve": {"a": 1}, "n": 7}


def test_packs_of_the_field_ask_for_one_by_an_option():
    spec = input_spec("curve", ("CURVE", {"widgetType": "pack.curve", "default": [0, 1], "mine": 1}), required=True)
    assert (spec.widget, spec.is_widget, spec.default, spec.options) == ("pack.curve", True, [0, 1], {"mine": 1})
