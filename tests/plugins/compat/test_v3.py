# ruff: noqa: PT018 - facts that belong together
"""V3 nodes, rule by rule, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from PIL import Image

from engine.authoring.groups import gathered


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def outputs(server: Any, prompt: dict[str, Any], **fields: Any) -> Any:
    entry = server.run(prompt, **fields)
    assert entry["status"]["status_str"] == "success", str(entry["status"]["messages"][-1])
    return entry["outputs"]


def shown(server: Any, prompt: dict[str, Any], slot: int = 0) -> Any:
    """What output `slot` of node 1 gives, as text."""
    return outputs(server, {**prompt, "show": node("RuleShow", value=["1", slot])})["show"]["text"][0]


def refused(server: Any, prompt: dict[str, Any]) -> Any:
    status, value = server.ask("POST", "/prompt", {"prompt": prompt})
    assert status == 400, value
    return value["node_errors"]


def ran(server: Any, prompt: dict[str, Any], what: str) -> int:
    before = server.noted().count(what)
    outputs(server, prompt)
    return int(server.noted().count(what)) - before


def told(server: Any, kind: str) -> Any:
    return server.get(f"/object_info/{kind}")[kind]


def report(server: Any, name: str) -> Any:
    return next(one for one in server.get("/api/v1/packs")["packs"] if one["name"] == name)


def test_an_input_that_grows_arrives_as_a_dict(server: Any) -> None:
    inputs = {"ns.n0": 1, "ns.n1": 2, "ns.n2": ["2", 0], "sides.left": 0.5}
    prompt = {"1": node("V3Grow", **inputs), "2": node("RuleSource", value=4)}
    assert outputs(server, prompt)["1"] == {"ns": [["n0", "n1", "n2"]], "sides": [{"left": 0.5}]}
    assert shown(server, prompt) == "7"
    kind, options = told(server, "V3Grow")["input"]["optional"]["ns"]
    assert kind == "COMFY_AUTOGROW_V3" and options["template"]["prefix"] == "n" and options["template"]["max"] == 5


def test_a_choice_that_brings_inputs_arrives_with_them(server: Any) -> None:
    prompt = {"1": node("V3Dynamic", **{"size": "fixed", "size.width": 128})}
    assert outputs(server, prompt)["1"]["size"] == [{"size": "fixed", "width": 128}]
    assert "size" in told(server, "V3Dynamic")["input"]["required"]
    error = refused(server, {"1": node("V3Dynamic")})["1"]["errors"][0]
    assert error["type"] == "required_input_missing"


def test_a_choice_within_a_choice_arrives_within_it() -> None:
    inputs = {"mode.way.pixels": 3, "mode": "shift", "mode.way": "by", "mode.ns.n0": 1, "last": "end"}
    assert gathered(inputs, ("mode", "mode.way", "mode.ns", "other")) == {
        "mode": {"mode": "shift", "way": {"way": "by", "pixels": 3}, "ns": {"n0": 1}},
        "last": "end",
        "other": {},
    }


def test_matching_types_are_what_their_template_allows(server: Any) -> None:
    assert shown(server, {"1": node("V3Match", a=["2", 0], b=["2", 0]), "2": node("RulePlain", value=3)}) == "3"
    assert told(server, "V3Match")["output_name"][1] == "other"
    assert told(server, "V3Match")["output_matchtypes"] == ["T", "U"]
    assert "output_matchtypes" not in told(server, "V3Multi")
    made = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
    errors = refused(server, {"1": node("V3Match", a=["2", 0]), "2": made, "3": node("RuleShow", value=["1", 0])})
    assert errors["1"]["errors"][0]["type"] == "return_type_mismatch"


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("V3Dynamic", {"size": "round"}, ("value_not_in_list", "size")),
        ("V3Dynamic", {"size": "fixed"}, ("required_input_missing", "size.width")),
        ("V3Dynamic", {"size": "fixed", "size.width": "wide"}, ("invalid_input_type", "size.width")),
        ("V3Grow", {"ns.n0": 1}, ("required_input_missing", "ns.n1")),
        ("V3Grow", {"ns.n0": 1, "ns.n1": 2, "ns.n5": 3}, ("unexpected_input", "ns.n5")),
        ("V3Grow", {"ns.n0": 1, "ns.n1": 2, "sides.left": "far"}, ("invalid_input_type", "sides.left")),
    ],
)
def test_dynamic_inputs_are_checked_as_declared_before_anything_runs(
    server: Any, kind: str, inputs: dict[str, Any], expected: tuple[str, str]
) -> None:
    [error] = refused(server, {"1": node(kind, **inputs)})["1"]["errors"]
    assert (error["type"], error["extra_info"]["input_name"]) == expected


def test_an_input_of_several_types_has_the_widget_of_its_own(server: Any) -> None:
    assert shown(server, {"1": node("V3Multi", value=2.5)}) == "2.5"
    assert shown(server, {"1": node("V3Multi", value=["2", 0]), "2": node("RulePlain", value=3)}) == "3"


def test_options_and_hidden_values_are_told(server: Any) -> None:
    found = told(server, "V3Options")
    required = found["input"]["required"]
    assert found["display_name"] == "All options" and found["category"] == "v3/more"
    assert found["deprecated"] and found["experimental"] and found["output_node"]
    assert required["n"][1]["display"] == "slider" and required["n"][1]["tooltip"] == "Tip."
    assert required["way"][0] == ["fast", "slow"] and required["way"][1]["default"] == "slow"
    assert found["input"]["optional"]["mine"][0] == "MY_TYPE" and found["output_is_list"] == [False, True]
    extra = {"extra_pnginfo": {"workflow": {}, "more": 1}}
    given = outputs(server, {"7": node("V3Options", n=2, way="fast", several={"__value__": ["b"]})}, extra_data=extra)[
        "7"
    ]
    assert given == {"told": ["7", ["7"], extra["extra_pnginfo"], "V3Options"], "missing": [None]}


def test_only_the_lazy_input_that_is_asked_for_is_made(server: Any) -> None:
    prompt = {
        "1": node("V3Wanting", on=True, yes=["2", 0], no=["3", 0]),
        "2": node("TrickEmit", value="v3-wanted"),
        "3": node("TrickEmit", value="v3-unwanted"),
    }
    assert shown(server, prompt) == "'v3-wanted'" and "emit=v3-unwanted" not in server.noted()


def test_fingerprints_and_idempotence_decide_what_runs_again(server: Any) -> None:
    for how, again in (("same", 0), ("always", 1)):
        prompt = {"1": node("V3Changing", how=how)}
        assert (ran(server, prompt, f"v3-{how}"), ran(server, prompt, f"v3-{how}")) == (1, again)
    assert (ran(server, {"1": node("V3Fresh")}, "v3-fresh"), ran(server, {"1": node("V3Fresh")}, "v3-fresh")) == (1, 1)


def test_a_check_owns_the_range_of_what_it_names_and_may_be_async(server: Any) -> None:
    assert outputs(server, {"1": node("V3Checking", n=50, m=1)})["1"]["n"] == [50]
    assert refused(server, {"1": node("V3Checking", n=1, m=50)})["1"]["errors"][0]["type"] == "value_bigger_than_max"
    assert "200 is no size" in str(refused(server, {"1": node("V3Checking", n=200, m=1)}))


def test_a_node_that_takes_lists_runs_once_and_its_lists_go_on(server: Any) -> None:
    prompt = {"2": node("TrickEmitList", count=3), "1": node("V3Lists", items=["2", 0], by=3)}
    assert outputs(server, prompt)["1"] == {"items": [0, 1, 2], "by": [3]}
    prompt["3"] = node("TrickLoud", n=["1", 0])
    assert outputs(server, prompt)["3"]["text"] == ["n=0", "n=3", "n=6"]


def test_a_node_expands_until_it_is_done(server: Any) -> None:
    assert shown(server, {"1": node("V3Expanding", left=3)}) == "42"


def test_a_node_may_block_all_that_follows(server: Any) -> None:
    status = server.run({"1": node("V3Blocking", why="v3 says no"), "2": node("RuleShow", value=["1", 1])})["status"]
    assert status["status_str"] == "error" and "v3 says no" in str(status["messages"])


@pytest.mark.parametrize(("how", "folder"), [("preview", "temp"), ("mask", "temp"), ("save", "output")])
def test_pictures_to_show_are_saved_with_all_that_made_them(server: Any, how: str, folder: str) -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0}},
        "2": node("V3Showing", images=["1", 0], how=how),
    }
    extra = {"extra_pnginfo": {"workflow": {"n": 1}, "of a pack": [2]}}
    [picture] = outputs(server, prompt, extra_data=extra)["2"]["images"]
    assert picture["type"] == folder
    with Image.open(server.base / folder / picture["subfolder"] / picture["filename"]) as saved:
        assert saved.size == (16, 8) and json.loads(saved.text["workflow"]) == {"n": 1}
        assert json.loads(saved.text["of a pack"]) == [2] and set(json.loads(saved.text["prompt"])) == {"1", "2"}


def test_a_text_to_show_and_progress_are_told(server: Any) -> None:
    image = {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0}}
    assert outputs(server, {"1": image, "2": node("V3Showing", images=["1", 0], how="text")})["2"]["text"] == [
        "as text"
    ]
    assert outputs(server, {"1": node("V3Progressing")})["1"]["done"] == [True]


def test_what_is_wrong_with_one_schema_leaves_the_others_alone(server: Any) -> None:
    pack = report(server, "v3more")
    errors = "\n".join(pack["errors"])
    assert "node TwoOfOneId is left out" in errors and "given twice: n" in errors
    assert "'no class' is left out" in errors and "V3Fresh is declared 2 times" in errors
    assert "node Bad is left out: line 49: ValueError: no schema" in "\n".join(report(server, "v3pack")["errors"])
    assert len(pack["nodes"]) == 16 and "v3-loaded" in server.noted()


def test_outputs_may_share_ids_with_inputs_and_schemas_be_inherited(server: Any) -> None:
    assert shown(server, {"1": node("V3SharesId", n=5)}) == "5"
    assert shown(server, {"1": node("V3Inherits", n=6)}) == "6" and told(server, "V3Inherits")["output"] == ["INT"]


def test_a_table_of_v1_nodes_may_hold_v3_classes_and_goes_before_the_entry_point(server: Any) -> None:
    assert sorted(report(server, "mixed")["nodes"]) == ["MixedFirst", "MixedThird"]
    assert told(server, "MixedThird")["display_name"] == "The third kind"
    prompt = {"1": node("MixedThird", n=3), "2": node("MixedFirst", n=4)}
    given = outputs(server, prompt)
    assert given["1"] == {"n": [3], "module": ["custom_nodes.mixed"]} and given["2"] == {"n": [4], "direct": [4]}
