"""How classes of the field are read: inputs, outputs, hidden ones, and what they return, without loading a pack."""

from __future__ import annotations

from typing import Any

import pytest

from engine.authoring.definition import ExecutionBlocker
from engine.authoring.groups import gathered
from engine.graph.prompt import Link
from engine.graph.schema import NodeSpec, OutputSpec
from engine.plugins.adapters import v1
from engine.plugins.adapters.calls import Caller, Owned, check_of, contained
from engine.plugins.adapters.declaration import hidden_of, input_spec, output_specs, type_name
from engine.plugins.adapters.plain import choice_values, is_number, number, plain
from engine.plugins.adapters.results import read_v1


def one(declared: Any, name: str = "a") -> Any:
    return input_spec(name, declared, required=True)


def test_a_seed_is_an_int_of_that_name_or_one_that_says_so() -> None:
    found = [
        one(("INT", {}), "seed").seed,
        one(("INT", {}), "noise_seed").seed,
        one(("FLOAT", {}), "seed").seed,
        one(("INT", {}), "steps").seed,
        one(("INT", {"control_after_generate": True}), "steps").seed,
    ]
    assert found == [True, True, False, False, True]


@pytest.mark.parametrize("key", ["multiselect", "multi_select"])
def test_a_choice_of_several_is_none_of_one(key: str) -> None:
    several = one((["a", "b"], {key: True}))
    assert (several.type, several.choices, several.options["options"]) == ("COMBO", None, ["a", "b"])
    assert one((["a", "b"], {key: False})).choices == ("a", "b")


def test_facts_of_an_input_are_those_that_it_declares() -> None:
    text = one(("STRING", {"multiline": True, "default": "x", "tooltip": "tip", "placeholder": "write"}))
    assert (text.multiline, text.default, text.tip, text.options) == (True, "x", "tip", {"placeholder": "write"})
    assert [one(("STRING", {})).multiline, one(("STRING", {"multiline": False})).multiline] == [False, False]
    number = one(("FLOAT", {"min": 0, "max": 2.5, "step": 0.1, "round": False}))
    assert (number.ge, number.le, number.step, number.options) == (0, 2.5, 0.1, {"round": False})
    assert one(("INT", {"min": "1", "max": True})).ge is one(("INT", {"min": "1", "max": True})).le is None
    assert (one("IMAGE").type, one(()).type, one(("IMAGE",)).type) == ("IMAGE", "*", "IMAGE")


def test_outputs_are_called_by_their_names_or_their_types() -> None:
    def told(*facts: Any) -> list[tuple[str, str, bool]]:
        return [(output.name, output.type, output.is_list) for output in output_specs(*facts, ())]

    assert told(("IMAGE", "MASK"), ("picture",), (False, True)) == [("picture", "IMAGE", False), ("MASK", "MASK", True)]
    assert told(("IMAGE", "MASK"), "all", ()) == [("all", "IMAGE", False), ("MASK", "MASK", False)]
    assert told((("IMAGE", "beside"), ["a", "b"]), (), ()) == [("IMAGE", "IMAGE", False), ("COMBO", "COMBO", False)]
    assert told("IMAGE", (), ()) == [("IMAGE", "IMAGE", False)]


class Everything(str):
    """The type that packs write for `any`."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False


def test_a_type_that_differs_from_none_is_any_type() -> None:
    assert [type_name(Everything("x")), type_name("x")] == ["*", "x"]


def test_hidden_inputs_are_known_by_their_kind() -> None:
    declared = {"id": "UNIQUE_ID", "graph": ("PROMPT",), "token": "AUTH_TOKEN_COMFY_ORG", "mine": ("A", "B")}
    assert hidden_of(declared) == ({"id": "UNIQUE_ID", "graph": "PROMPT"}, ("token",), True)


def test_options_are_plain_and_numbers_those_that_json_has() -> None:
    assert [number(2**70), number(-(2**70)), number(5)] == [2**64 - 1, -(2**63), 5]
    assert [is_number(value) for value in (1, 1.5, True, float("inf"), "1")] == [True, True, False, False, False]
    around: list[Any] = [1]
    around.append(around)
    assert plain(around) == [1, "…"]
    assert plain({1: (2, {3}), "call": print}) == {"1": [2, [3]]}
    assert choice_values(["a", True, 2, 0.5, None, float("nan")]) == ("a", True, 2, 0.5, "None", "nan")


# -- what they return

SPEC = NodeSpec(name="A", outputs=(OutputSpec(name="a", type="INT"), OutputSpec(name="b", type="INT", is_list=True)))


def test_results_are_read_whatever_their_form() -> None:
    assert read_v1(SPEC, (1, (2, 3))).values == (1, (2, 3))
    shown = read_v1(SPEC, {"ui": {"text": ("x",)}, "result": (1, [2])})
    assert (shown.values, shown.ui) == ((1, [2]), {"text": ("x",)})
    assert read_v1(SPEC, {"ui": {"text": ["x"]}}).values == ()
    nothing = read_v1(NodeSpec(name="N"), {})
    assert (nothing.values, nothing.ui) == ((), None)
    blocked = read_v1(NodeSpec(name="B", outputs=SPEC.outputs[:1]), (ExecutionBlocker("no"),))
    assert blocked.values[0].message == "no"


def test_links_in_an_expansion_are_whole_numbers_and_other_pairs_are_values() -> None:
    inputs = {"x": ["2", 1.0], "y": ["2", True], "z": [2, 1], "w": ["a", "b"]}
    found = read_v1(SPEC, {"result": (["1", 0], 5), "expand": {"1": {"class_type": "X", "inputs": inputs}}})
    assert found.values == (Link("1", 0), [5])  # the second output is a list
    read = found.expand["1"].inputs
    assert (read["x"], type(read["x"].slot)) == (Link("2", 1), int)
    assert [read[name] for name in "yzw"] == [["2", True], [2, 1], ["a", "b"]]


# -- calls


def test_of_a_node_that_takes_lists_hidden_inputs_are_lists_of_one_and_absent_ones_of_none() -> None:
    caller = Caller(NodeSpec(name="L", input_is_list=True, hidden={"id": "UNIQUE_ID"}), ("token",))
    assert caller.arguments({"a": [1, 2], "id": "7"}) == {"token": [None], "a": [1, 2], "id": ["7"]}
    assert Caller(NodeSpec(name="P"), ("token",)).arguments({"a": 1}) == {"token": None, "a": 1}


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_packs_code_ends_nothing(error: BaseException) -> None:
    def leave() -> None:
        raise error

    with pytest.raises(RuntimeError, match=type(error).__name__):
        contained(leave)()


def test_a_check_gets_what_it_names() -> None:
    values = {"a": 1, "b": 2, "input_types": {}}
    checks = {
        "named": lambda a: {"a": a},
        "types": lambda a, input_types: {"a": a, "input_types": input_types},
        "all": lambda **given: given,
        "all and types": lambda input_types, **given: {"input_types": input_types, **given},
    }
    found = {name: check_of(check, Owned(check))(**values) for name, check in checks.items()}
    assert {name: sorted(given) for name, given in found.items()} == {
        "named": ["a"],
        "types": ["a", "input_types"],
        "all": ["a", "b"],
        "all and types": ["a", "b", "input_types"],
    }
    assert "b" not in Owned(checks["named"]).inputs
    assert "b" in Owned(checks["all"]).inputs
    assert "input_types" not in Owned(checks["all"]).inputs


# -- classes


class Plain:
    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    OUTPUT_NODE: Any = 1

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"a": ("INT", {"lazy": True})}, "optional": {"a": ("FLOAT", {}), "b": ("INT", {})}}

    def go(self, **given: Any) -> tuple[int]:
        return (1,)


class Rich(Plain):
    OUTPUT_NODE = True
    NOT_IDEMPOTENT = True
    INPUT_IS_LIST = True
    CATEGORY = "mine"

    def check_lazy_status(self, **given: Any) -> list[str]:
        return ["a"]


def test_a_class_says_what_its_node_is() -> None:
    spec = v1.definition("Plain", Plain, "", "pack").spec
    assert [(one.name, one.type, one.required, one.lazy) for one in spec.inputs] == [
        ("a", "INT", True, False),
        ("b", "INT", False, False),
    ]
    assert (spec.output_node, spec.cache, spec.input_is_list, spec.category, spec.display_name) == (
        False,
        True,
        False,
        "sd",
        "Plain",
    )
    rich = v1.definition("Rich", Rich, "A title", "pack").spec
    assert [one.lazy for one in rich.inputs] == [True, False]
    assert (rich.output_node, rich.cache, rich.input_is_list, rich.category, rich.display_name) == (
        True,
        False,
        True,
        "mine",
        "A title",
    )


def test_inputs_of_a_group_are_gathered() -> None:
    given = {"a": 1, "group.x": 2, "group.y": 3, "mode": "m", "mode.size": 4}
    assert gathered(given, ()) == given
    assert gathered(given, ("group",)) == {"a": 1, "group": {"x": 2, "y": 3}, "mode": "m", "mode.size": 4}
    assert gathered({"a": 1}, ("group",)) == {"a": 1, "group": {}}
    assert gathered({"mode": "m", "mode.size": 4}, ("mode",)) == {"mode": {"mode": "m", "size": 4}}
