from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.graph.problems import GraphError, to_response
from engine.graph.prompt import Link, Node, prompt_from_json, prompt_to_json
from engine.graph.schema import Catalogue, InputSpec, NodeSpec, OutputSpec
from engine.graph.validate import check


def kinds(checked):
    return [(one.type, one.node_id, one.input_name) for one in checked.problems]


def value_of(catalogue, files, class_type, name, value):
    """What a node gets for `value`, or the type of problem."""
    data = {"1": {"class_type": class_type, "inputs": {name: value}}, "2": preview("1")}
    checked = check(data, catalogue, choices=files)
    return checked.problems[0].type if checked.problems else checked.prompt["1"].inputs[name]


def preview(source, slot=0):
    return {"class_type": "PreviewAny", "inputs": {"source": [source, slot]}}


# ---- sound graphs


def test_a_sound_prompt_has_no_problems_and_its_links_are_read(catalogue, files, text_to_image):
    checked = check(text_to_image, catalogue, choices=files)
    assert checked.problems == []
    assert checked.outputs == ("9",)
    assert checked.prompt["8"].inputs["samples"] == Link("3", 0)


def test_the_input_is_left_as_it_was(catalogue, files, text_to_image):
    text_to_image["3"]["inputs"]["steps"] = "20"
    before = json.dumps(text_to_image)
    check(text_to_image, catalogue, choices=files)
    assert json.dumps(text_to_image) == before


def test_node_objects_are_checked_like_json(catalogue, files, text_to_image):
    prompt = prompt_from_json(text_to_image)
    assert check(prompt, catalogue, choices=files).prompt == check(text_to_image, catalogue, choices=files).prompt
    prompt["3"].inputs["steps"] = 0
    assert kinds(check(prompt, catalogue, choices=files)) == [("value_smaller_than_min", "3", "steps")]


def test_the_prompt_survives_a_round_trip_through_json(catalogue, files, text_to_image):
    checked = check(text_to_image, catalogue, choices=files)
    assert prompt_to_json(checked.prompt) == text_to_image


def test_an_alias_is_known_and_keeps_its_written_name(catalogue, files, text_to_image):
    text_to_image["4"]["class_type"] = "LoadCheckpoint"
    checked = check(text_to_image, catalogue, choices=files)
    assert checked.ok
    assert checked.prompt["4"].class_type == "LoadCheckpoint"


def test_link_ids_may_be_whole_numbers(catalogue, files, text_to_image):
    text_to_image["8"]["inputs"]["samples"] = [3, 0]
    assert check(text_to_image, catalogue, choices=files).ok


def test_a_missing_required_input_is_a_problem_whatever_its_default(catalogue, files, text_to_image):
    del text_to_image["3"]["inputs"]["steps"]
    del text_to_image["3"]["inputs"]["model"]
    checked = check(text_to_image, catalogue, choices=files)
    assert kinds(checked) == [("required_input_missing", "3", "model"), ("required_input_missing", "3", "steps")]
    assert "default 20" in checked.problems[1].hint
    assert "steps" not in checked.prompt["3"].inputs


def test_null_is_no_link_and_an_optional_input_takes_it(catalogue, files):
    data = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "2": {"class_type": "Resize", "inputs": {"image": ["1", 0], "factor": 2, "mask": None}},
        "3": preview("2"),
    }
    checked = check(data, catalogue, choices=files)
    assert checked.ok
    assert checked.prompt["2"].inputs == {"image": Link("1", 0), "factor": 2, "mask": None}
    data["2"]["inputs"]["image"] = None
    assert kinds(check(data, catalogue, choices=files)) == [("invalid_input_type", "2", "image")]


def test_undeclared_constants_are_dropped_unless_the_node_takes_any_input(catalogue, files):
    data = {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": 1, "upload": "image"}},
        "2": {"class_type": "Switch", "inputs": {"index": 0, "value0": ["1", 0], "value1": 5, "extra": [1, 2, 3]}},
        "3": preview("2"),
    }
    checked = check(data, catalogue, choices=files)
    assert checked.ok
    assert checked.prompt["1"].inputs == {"value": 1}
    assert checked.prompt["2"].inputs["value1"] == 5


def test_an_undeclared_link_is_kept_and_counts_as_needed(catalogue, files):
    data = {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": "no number"}},
        "2": {"class_type": "PrimitiveInt", "inputs": {"value": 1, "other": ["1", 0]}},
        "3": preview("2"),
    }
    checked = check(data, catalogue, choices=files)
    assert checked.prompt["2"].inputs["other"] == Link("1", 0)
    assert checked.outputs == ()
    assert checked.dependents == {"1": ["3"]}


# ---- values


@pytest.mark.parametrize(
    ("class_type", "value", "expected"),
    [
        ("PrimitiveInt", 3, 3),
        ("PrimitiveInt", 3.7, 3),
        ("PrimitiveInt", "5", 5),
        ("PrimitiveInt", True, 1),
        ("PrimitiveInt", 10**30, 10**30),
        ("PrimitiveInt", "five", "invalid_input_type"),
        ("PrimitiveInt", math.nan, "invalid_input_type"),
        ("PrimitiveInt", math.inf, "invalid_input_type"),
        ("PrimitiveInt", {}, "invalid_input_type"),
        ("PrimitiveInt", [1], "bad_linked_input"),
        ("PrimitiveInt", ["1", 0.0], "bad_linked_input"),
        ("PrimitiveString", "text", "text"),
        ("PrimitiveString", 1.5, "1.5"),
        ("PrimitiveInt", None, "invalid_input_type"),
        ("PrimitiveInt", " 7 ", 7),
        ("PrimitiveInt", "7.5", "invalid_input_type"),
        ("PrimitiveString", 7, "7"),
        ("PrimitiveString", True, "True"),
        ("PrimitiveString", None, "None"),
        ("PrimitiveString", {"a": 1}, "{'a': 1}"),
        ("PrimitiveString", {"__value__": ["1", 0]}, "['1', 0]"),
        ("PrimitiveBoolean", True, True),
        ("PrimitiveBoolean", 0, False),
        ("PrimitiveBoolean", 0.5, True),
        ("PrimitiveBoolean", "false", True),
        ("PrimitiveBoolean", "", False),
        ("PrimitiveBoolean", None, False),
        ("PrimitiveBoolean", {}, False),
        ("PrimitiveBoolean", [], "bad_linked_input"),
    ],
)
def test_a_constant_is_read_by_its_declared_type(catalogue, files, class_type, value, expected):
    got = value_of(catalogue, files, class_type, "value", value)
    assert got == expected
    assert type(got) is type(expected)


def test_a_number_with_more_digits_than_are_printed_is_no_text(catalogue, files):
    assert value_of(catalogue, files, "PrimitiveString", "value", 10**5000) == "invalid_input_type"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7.0),
        ("7", 7.0),
        ("0.5", 0.5),
        (True, 1.0),
        (None, "invalid_input_type"),
        ({}, "invalid_input_type"),
        ("nan", "invalid_input_type"),
        (10**400, "invalid_input_type"),
        ("inf", "invalid_input_type"),
    ],
)
def test_a_float_is_read_from_numbers_and_text_but_never_infinite(catalogue, files, text_to_image, value, expected):
    text_to_image["3"]["inputs"]["cfg"] = value
    checked = check(text_to_image, catalogue, choices=files)
    got = checked.problems[0].type if checked.problems else checked.prompt["3"].inputs["cfg"]
    assert got == expected
    assert type(got) is type(expected)


def test_ranges_are_checked_after_conversion_and_bounds_are_allowed(catalogue, files, text_to_image):
    inputs = text_to_image["3"]["inputs"]
    inputs.update(denoise=1, seed=2**64 - 1, steps="1")
    assert check(text_to_image, catalogue, choices=files).ok
    inputs.update(denoise="1.01", seed=2**64, steps=0.9)
    found = kinds(check(text_to_image, catalogue, choices=files))
    assert sorted(found) == [
        ("value_bigger_than_max", "3", "denoise"),
        ("value_bigger_than_max", "3", "seed"),
        ("value_smaller_than_min", "3", "steps"),
    ]


def test_a_bound_stays_whole_when_a_spec_is_kept_on_disk():
    spec = InputSpec(name="seed", type="INT", ge=0, le=2**64 - 1)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=InputSpec)
    assert (again.le, type(again.le)) == (2**64 - 1, int)


def test_a_literal_list_is_wrapped(catalogue, files):
    data = {"1": {"class_type": "PreviewAny", "inputs": {"source": {"__value__": ["1", 0]}}}}
    checked = check(data, catalogue, choices=files)
    assert checked.ok
    assert checked.prompt["1"].inputs["source"] == ["1", 0]


def test_a_choice_is_equal_to_one_of_the_list_as_numbers_are(catalogue, files):
    for value, sound in ((2, True), (2.0, True), (True, True), ("2", False), (3, False), (None, False)):
        data = {
            "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
            "2": {"class_type": "Resize", "inputs": {"image": ["1", 0], "factor": value}},
            "3": preview("2"),
        }
        assert check(data, catalogue, choices=files).ok == sound, value


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("cat.png", True),
        ("cat.png [input]", True),
        ("result_00001_.png [output]", True),
        ("result_00001_.png", False),
        ("../cat.png", False),
    ],
)
def test_an_input_file_may_name_its_folder(catalogue, files, name, sound):
    got = value_of(catalogue, files, "LoadImage", "image", name)
    assert got == (name if sound else "value_not_in_list")


def test_a_file_saved_with_backslashes_is_found(catalogue, files):
    assert value_of(catalogue, files, "CheckpointLoaderSimple", "ckpt_name", "sdxl\\base.safetensors") == (
        "sdxl/base.safetensors"
    )


def test_a_folder_that_cannot_be_listed_is_a_problem_of_the_input(catalogue, text_to_image):
    def broken(files):
        raise PermissionError(files.folder)

    checked = check(text_to_image, catalogue, choices=broken)
    assert kinds(checked) == [("exception_during_inner_validation", "4", "ckpt_name")]


def test_a_constant_of_an_editor_widget_type_is_let_through_where_one_of_a_link_type_is_not(catalogue, files):
    data = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "2": {"class_type": "Tint", "inputs": {"image": ["1", 0], "colour": {"r": 1}}},
        "3": preview("2"),
    }
    assert check(data, catalogue, choices=files).ok
    data["2"]["inputs"]["image"] = "cat.png"
    assert kinds(check(data, catalogue, choices=files)) == [("invalid_input_type", "2", "image")]


KINDS = ["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "IMAGE", "IMAGE,MASK", "FLOAT, INT", "*"]
FED_BY_OTHERS = {
    ("INT", "FLOAT, INT"),
    ("FLOAT", "FLOAT, INT"),
    ("FLOAT, INT", "INT"),
    ("FLOAT, INT", "FLOAT"),
    ("IMAGE", "IMAGE,MASK"),
    ("IMAGE,MASK", "IMAGE"),
}
"""Besides equal types, and `*` on either side."""


@pytest.mark.parametrize("made", KINDS)
@pytest.mark.parametrize("wanted", KINDS)
def test_a_link_joins_equal_types_unions_with_one_in_common_and_any(made, wanted):
    specs = [
        NodeSpec(name="Source", outputs=(OutputSpec(name="o", type=made),)),
        NodeSpec(name="Sink", inputs=(InputSpec(name="i", type=wanted),), output_node=True),
    ]
    data = {"1": {"class_type": "Source", "inputs": {}}, "2": {"class_type": "Sink", "inputs": {"i": ["1", 0]}}}
    checked = check(data, Catalogue(specs), choices=lambda files: ())
    fits = made == wanted or "*" in (made, wanted) or (made, wanted) in FED_BY_OTHERS
    assert kinds(checked) == ([] if fits else [("return_type_mismatch", "2", "i")])


# ---- many problems, some sound outputs


def test_every_problem_is_reported_at_once(catalogue, files, text_to_image):
    text_to_image["3"]["inputs"].update(steps=0, cfg="high", positive=["5", 0])
    del text_to_image["7"]["inputs"]["text"]
    text_to_image["8"]["inputs"]["vae"] = ["99", 0]
    text_to_image["10"] = {"class_type": "KSamplr", "inputs": {}}
    text_to_image["11"] = "junk"
    found = kinds(check(text_to_image, catalogue, choices=files))
    assert set(found) == {
        ("invalid_prompt", "11", None),
        ("missing_node_type", "10", None),
        ("invalid_input_type", "3", "cfg"),
        ("return_type_mismatch", "3", "positive"),
        ("value_smaller_than_min", "3", "steps"),
        ("missing_link_target", "8", "vae"),
        ("required_input_missing", "7", "text"),
    }
    assert len(found) == len(set(found))


def test_one_sound_output_is_enough_and_the_others_are_reported_with_what_breaks_them(catalogue, files):
    data = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "no.png"}},
        "3": {"class_type": "ImageBlend", "inputs": {"image1": ["1", 0], "image2": ["2", 0], "blend_factor": 0.5}},
        "good": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        "bad": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
        "worse": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    checked = check(data, catalogue, choices=files)
    assert checked.outputs == ("good",)
    assert kinds(checked) == [("value_not_in_list", "2", "image")]
    assert checked.dependents == {"2": ["bad", "worse"]}
    assert checked.require() is checked
    answer = to_response(checked.problems, checked.dependents)
    assert answer["node_errors"]["2"]["dependent_outputs"] == ["bad", "worse"]
    assert answer["node_errors"]["2"]["class_type"] == "LoadImage"


def test_no_sound_output_is_refused_with_all_problems(catalogue, files, text_to_image):
    text_to_image["3"]["inputs"]["steps"] = 0
    with pytest.raises(GraphError, match="steps") as caught:
        check(text_to_image, catalogue, choices=files).require()
    assert caught.value.response()["error"]["type"] == "prompt_outputs_failed_validation"


def test_values_of_nodes_that_no_output_needs_do_not_matter_but_their_structure_does(catalogue, files, text_to_image):
    text_to_image["20"] = {"class_type": "KSampler", "inputs": {"steps": -5}}
    assert check(text_to_image, catalogue, choices=files).ok
    text_to_image["20"]["inputs"]["model"] = ["77", 0]
    checked = check(text_to_image, catalogue, choices=files)
    assert kinds(checked) == [("missing_link_target", "20", "model")]
    assert checked.outputs == ("9",)


# ---- targets


def test_only_the_targets_and_what_they_need_is_checked(catalogue, files):
    data = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "no.png"}},
        "a": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        "b": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    checked = check(data, catalogue, choices=files, targets=["a"])
    assert checked.ok
    assert checked.outputs == ("a",)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([], "prompt_no_outputs"),
        (["77"], "unknown_target"),
        (["8"], "target_not_output"),
        ([None], "unknown_target"),
        ([["9"]], "unknown_target"),
        ("9", "unknown_target"),
        (5, "unknown_target"),
    ],
)
def test_targets_that_are_no_outputs_are_errors(catalogue, files, text_to_image, targets, expected):
    checked = check(text_to_image, catalogue, choices=files, targets=targets)
    assert [one.type for one in checked.problems] == [expected]
    assert checked.outputs == ()


# ---- circles


def test_every_node_of_a_circle_is_reported_once_and_the_rest_is_still_checked(catalogue, files):
    invert = {str(n): {"class_type": "ImageInvert", "inputs": {"image": [str((n + 1) % 3), 0]}} for n in range(3)}
    data = {
        **invert,
        "after": {"class_type": "PreviewImage", "inputs": {"images": ["0", 0]}},
        "4": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "good": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
        "5": {"class_type": "LoadImage", "inputs": {"image": "no.png"}},
        "bad": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    }
    checked = check(data, catalogue, choices=files)
    circle = [one for one in checked.problems if one.type == "dependency_cycle"]
    assert sorted(one.node_id for one in circle) == ["0", "1", "2"]
    assert {one.details for one in circle} == {"0 → 2 → 1 → 0"}
    assert ("value_not_in_list", "5", "image") in kinds(checked)
    assert checked.outputs == ("good",)
    assert checked.dependents == {"0": ["after"], "1": ["after"], "2": ["after"], "5": ["bad"]}


def test_two_circles_that_share_a_node_name_all_their_nodes(catalogue, files):
    data = {
        "a": {"class_type": "ImageBlend", "inputs": {"image1": ["b", 0], "image2": ["c", 0], "blend_factor": 0.5}},
        "b": {"class_type": "ImageInvert", "inputs": {"image": ["a", 0]}},
        "c": {"class_type": "ImageInvert", "inputs": {"image": ["a", 0]}},
        "out": {"class_type": "PreviewImage", "inputs": {"images": ["a", 0]}},
    }
    checked = check(data, catalogue, choices=files)
    assert sorted(one.node_id for one in checked.problems) == ["a", "b", "c"]


# ---- packs' own checks


class Pack:
    """VALIDATE_INPUTS of an imaginary pack that knows its own factor."""

    def __init__(self, answer):
        self.answer = answer
        self.seen = []

    def owns(self, spec):
        return {"factor"}

    def __call__(self, node_id, spec, constants, received_types):
        self.seen.append((node_id, spec.name, dict(constants), dict(received_types)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def pack_case(answer, factor=3):
    specs = [
        NodeSpec(name="Source", outputs=(OutputSpec(name="o", type="IMAGE"),)),
        NodeSpec(
            name="Sink",
            inputs=(InputSpec(name="image", type="IMAGE"), InputSpec(name="factor", type="COMBO", choices=(1, 2))),
            output_node=True,
            has_validate=True,
        ),
    ]
    data = {
        "1": {"class_type": "Source", "inputs": {}},
        "2": {"class_type": "Sink", "inputs": {"image": ["1", 0], "factor": factor}},
    }
    pack = Pack(answer)
    return check(data, Catalogue(specs), choices=lambda files: (), custom=pack), pack


def test_a_packs_check_gets_constants_and_link_types_and_owns_its_choices():
    checked, pack = pack_case(True)
    assert checked.ok
    assert pack.seen == [("2", "Sink", {"factor": 3}, {"image": "IMAGE"})]


@pytest.mark.parametrize(
    ("answer", "kind", "details"),
    [
        ("factor must be odd", "custom_validation_failed", "factor must be odd"),
        (False, "custom_validation_failed", ""),
        (RuntimeError("boom"), "exception_during_inner_validation", "RuntimeError: boom"),
    ],
)
def test_a_packs_refusal_is_a_problem_of_its_node(answer, kind, details):
    checked, _ = pack_case(answer)
    assert [(one.type, one.node_id, one.details) for one in checked.problems] == [(kind, "2", details)]
    assert checked.outputs == ()


def test_a_pack_is_not_asked_about_a_node_that_has_a_problem_already():
    checked, pack = pack_case(True, factor=["nowhere", 0])
    assert [one.type for one in checked.problems] == ["missing_link_target"]
    assert pack.seen == []


def test_a_choice_of_old_graphs_is_taken_though_it_is_not_offered():
    made = InputSpec(name="a", type="COMBO", choices=("new",), retired=("old",))
    catalogue = Catalogue([NodeSpec(name="Sink", inputs=(made,), output_node=True)])
    found = [
        check({"1": {"class_type": "Sink", "inputs": {"a": value}}}, catalogue, choices=lambda files: ()).ok
        for value in ("new", "old", "other")
    ]
    assert found == [True, True, False]


def test_outputs_come_in_the_order_of_the_prompt_whatever_was_asked_for_first():
    catalogue = Catalogue([NodeSpec(name="Sink", output_node=True)])
    data = {name: {"class_type": "Sink", "inputs": {}} for name in "cab"}
    assert check(data, catalogue, choices=lambda files: (), targets=["b", "c"]).outputs == ("c", "b")


class Chooser(Pack):
    """The container of an imaginary pack that wants names of one kind."""

    def takes(self, spec, name):
        return name.startswith("lora_")


@pytest.mark.parametrize(("chooses", "kept"), [(True, {"lora_1"}), (False, {"lora_1", "stray"})])
def test_of_undeclared_constants_a_pack_gets_those_that_its_code_takes(chooses, kept):
    spec = NodeSpec(name="Open", output_node=True, open_inputs=True, chooses_inputs=chooses)
    data = {"1": {"class_type": "Open", "inputs": {"lora_1": {"on": True}, "stray": 2}}}
    checked = check(data, Catalogue([spec]), choices=lambda files: (), custom=Chooser(True))
    assert set(checked.prompt["1"].inputs) == kept
    assert (spec.name in Catalogue([spec]).judged) is chooses


@pytest.mark.parametrize(("slot", "sound"), [(0, True), (5, True), (63, True), (64, False), (-1, False)])
def test_links_may_name_outputs_beyond_those_declared_where_the_node_has_more(slot, sound):
    outputs = (OutputSpec(name="o", type="IMAGE"),)
    specs = [
        NodeSpec(name="Many", outputs=outputs, more_outputs="*"),
        NodeSpec(name="Sink", inputs=(InputSpec(name="a", type="MASK" if slot else "IMAGE"),), output_node=True),
    ]
    data = {"1": {"class_type": "Many", "inputs": {}}, "2": {"class_type": "Sink", "inputs": {"a": ["1", slot]}}}
    assert check(data, Catalogue(specs), choices=lambda files: ()).ok is sound


# ---- any input at all

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
links = st.tuples(st.sampled_from(["1", "2", "3", "x"]), st.integers(-2, 3)).map(list)
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["image", "images", "image1", "value", "factor", "steps", "__value__"])
types = st.sampled_from(["ImageInvert", "PreviewImage", "LoadImage", "PrimitiveInt", "Resize", "Switch", "Nope"])
entries = st.fixed_dictionaries(
    {"class_type": types | junk, "inputs": st.dictionaries(names, links | junk, max_size=4) | junk}
)
prompts = st.dictionaries(st.sampled_from(["1", "2", "3", "x", ""]), entries | junk, max_size=5)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=prompts | junk)
def test_no_json_makes_the_check_raise_and_its_problems_are_json(catalogue, files, data):
    checked = check(data, catalogue, choices=files)
    response = to_response(checked.problems, checked.dependents)
    json.dumps(response, allow_nan=False)
    assert checked.outputs or checked.problems
    assert set(checked.dependents) <= {one.node_id for one in checked.problems} | set(checked.prompt)
    for output in checked.outputs:
        assert output in data


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), count=st.integers(1, 30))
def test_a_random_sound_graph_has_no_problems(catalogue, files, data, count):
    graph = {"0": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}}
    for number in range(1, count):
        sources = [[str(data.draw(st.integers(0, number - 1))), 0] for _ in range(2)]
        inputs = {"image1": sources[0], "image2": sources[1], "blend_factor": 0.5}
        graph[str(number)] = {"class_type": "ImageBlend", "inputs": inputs}
    shuffled = data.draw(st.permutations(list(graph)))
    prompt = {node_id: graph[node_id] for node_id in shuffled}
    prompt["out"] = {"class_type": "PreviewImage", "inputs": {"images": [str(count - 1), 0]}}
    checked = check(prompt, catalogue, choices=files)
    assert checked.problems == []
    assert checked.outputs == ("out",)


def chain(length):
    nodes = {"0": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}}
    nodes |= {str(n): {"class_type": "ImageInvert", "inputs": {"image": [str(n - 1), 0]}} for n in range(1, length)}
    return {**nodes, "out": {"class_type": "PreviewImage", "inputs": {"images": [str(length - 1), 0]}}}


@pytest.mark.parametrize("start", [["9999", 0], ["0", 0], ["nowhere", 0]])
def test_a_chain_of_ten_thousand_is_checked_whatever_is_wrong_with_it(catalogue, files, start):
    data = chain(10_000)
    assert check(data, catalogue, choices=files).ok
    data["0"] = {"class_type": "ImageInvert", "inputs": {"image": start}}
    checked = check(data, catalogue, choices=files)
    assert checked.outputs == ()
    assert checked.dependents["0"] == ["out"]


def test_links_may_be_given_as_link_objects(catalogue, files):
    prompt = {
        "1": Node("LoadImage", {"image": "cat.png"}),
        "2": Node("PreviewImage", {"images": Link("1", 0)}),
    }
    assert check(prompt, catalogue, choices=files).outputs == ("2",)
