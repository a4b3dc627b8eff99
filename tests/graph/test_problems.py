from __future__ import annotations

import json
import math

import pytest

from engine.graph.problems import (
    PROBLEM_TYPES,
    GraphError,
    as_json,
    input_config,
    node_errors,
    problem,
    render,
    to_response,
)
from engine.graph.schema import Files, InputSpec

STEPS = InputSpec(name="steps", type="INT", default=20, ge=1, le=100)


def too_small(**facts):
    return problem("value_smaller_than_min", node_id="3", class_type="KSampler", spec=STEPS, received=0, **facts)


def test_a_refusal_has_the_shape_that_clients_of_the_field_read():
    answer = to_response([too_small(expected="INT from 1 to 100")], {"3": ["9"]})
    assert answer["error"]["type"] == "prompt_outputs_failed_validation"
    assert set(answer["error"]) == {"type", "message", "details", "extra_info"}
    assert answer["node_errors"] == {
        "3": {
            "errors": [
                {
                    "type": "value_smaller_than_min",
                    "message": "Value is smaller than the minimum",
                    "details": "steps",
                    "extra_info": {
                        "input_name": "steps",
                        "input_config": ["INT", {"default": 20, "min": 1, "max": 100}],
                        "received_value": 0,
                        "expected": "INT from 1 to 100",
                        "hint": "Choose a larger value.",
                    },
                }
            ],
            "dependent_outputs": ["9"],
            "class_type": "KSampler",
        }
    }


def test_a_problem_of_the_whole_graph_is_the_error_itself_and_further_ones_come_along():
    answer = to_response([problem("prompt_no_outputs"), problem("unknown_target", received="7"), too_small()])
    assert answer["error"]["type"] == "prompt_no_outputs"
    assert [one["type"] for one in answer["error"]["extra_info"]["problems"]] == ["unknown_target"]
    assert list(answer["node_errors"]) == ["3"]


def test_problems_of_one_node_stand_together():
    found = node_errors([too_small(), problem("required_input_missing", node_id="3", input_name="model")])
    assert [one["type"] for one in found["3"]["errors"]] == ["value_smaller_than_min", "required_input_missing"]


def test_a_type_that_is_not_in_the_table_cannot_be_made():
    with pytest.raises(KeyError):
        problem("something_else")


def test_the_table_has_a_message_for_every_type():
    assert all(kind.message for kind in PROBLEM_TYPES.values())


def test_a_graph_error_reads_as_text_and_as_json():
    error = GraphError([too_small()], {"3": ["9"]})
    assert str(error).splitlines()[0] == 'node 3 (KSampler), input "steps": Value is smaller than the minimum'
    assert error.response()["node_errors"]["3"]["dependent_outputs"] == ["9"]


@pytest.mark.parametrize("name", ["\x1b[2Jgone", "a\nb", "\ud800"])
def test_names_from_a_file_cannot_steer_the_terminal(name):
    text = render([problem("missing_node_type", node_id=name, class_type=name, received=name)])
    assert all(line.isprintable() for line in text.splitlines())
    assert "\nb" not in text
    text.encode()


def deep(levels):
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


class Unprintable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    "value",
    [math.nan, -math.inf, 10**5000, deep(100_000), {1: 2}, b"bytes", object(), Unprintable(), [10**5000], "x" * 9000],
    ids=range(10),
)
def test_whatever_came_can_be_dumped_and_shown_shortly(value):
    one = problem("invalid_input_type", node_id="1", received=value)
    json.dumps(to_response([one]), allow_nan=False)
    assert len(render([one])) < 1000


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "text", [1, "a", None], {"a": [1, 2]}])
def test_small_plain_json_is_kept(value):
    assert as_json(value) == value


def test_the_config_of_an_input_leaves_long_lists_out():
    assert input_config(InputSpec(name="n", type="COMBO", choices=("a", "b"), default="a")) == [
        ["a", "b"],
        {"default": "a"},
    ]
    assert input_config(InputSpec(name="n", type="COMBO", choices=tuple(map(str, range(500))))) is None
    assert input_config(InputSpec(name="n", type="COMBO", choices=Files("loras"))) is None
