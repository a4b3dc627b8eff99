"""What a class's own checks are asked with, and what a signature says of each input in the cases that lie beside another."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import pytest

from engine.api import In, Text, node
from engine.authoring.decorator import definition_of
from engine.authoring.json_values import is_json
from engine.authoring.subgraph import Subgraph
from engine.graph.schema import InputSpec


def test_a_check_that_takes_everything_gets_the_inputs_and_not_what_links_bring() -> None:
    seen: list[dict[str, Any]] = []

    @node("Taking")
    class Taking:
        @staticmethod
        def validate(**inputs: Any) -> bool:
            seen.append(inputs)
            return True

        def run(self, a: int, b: int = 0) -> int:
            return a

    definition = definition_of(Taking)
    assert definition.validate(a=1, b=2, input_types={"a": "INT"}) is True
    assert seen == [{"a": 1, "b": 2}]


def declared(**hints: Any) -> InputSpec:
    """The input `a` of a function with these facts: its type, and maybe its default."""

    def function(a=None):
        """Takes one input."""

    function.__annotations__ = {"a": hints["type"], "return": int}
    function.__defaults__ = (hints["default"],) if "default" in hints else None
    return definition_of(node("One")(function)).spec.inputs[0]


@pytest.mark.parametrize(
    ("facts", "required"),
    [
        ({"type": int}, True),
        ({"type": int, "default": 5}, True),
        ({"type": int, "default": None}, False),
        ({"type": int | None}, False),
        ({"type": int | None, "default": 5}, False),
        ({"type": Annotated[int, In(link_only=True)], "default": 5}, False),
    ],
)
def test_an_input_may_be_left_out_where_its_type_or_its_default_says_so(facts: dict[str, Any], required: bool) -> None:
    assert declared(**facts).required is required


def test_choices_that_were_given_go_before_those_of_the_type() -> None:
    assert declared(type=Literal["a", "b"]).choices == ("a", "b")
    assert declared(type=Annotated[Literal["a", "b"], In(choices=("c",))]).choices == ("c",)


def test_a_union_names_each_of_its_types_once() -> None:
    assert declared(type=str | Text).type == "STRING"
    assert declared(type=int | str | bool).type == "INT,STRING,BOOLEAN"


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (1.5, True),
        (math.inf, False),
        (math.nan, False),
        ({"a": [None]}, True),
        ({1: 2}, False),
        ([math.inf], False),
        ((1,), False),
    ],
)
def test_defaults_are_json(value: object, json: bool) -> None:
    assert is_json(value) is json


def test_a_subgraph_takes_no_positional_inputs() -> None:
    @node("Add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    with pytest.raises(TypeError, match="keyword arguments"):
        Subgraph().add(add, 1)
