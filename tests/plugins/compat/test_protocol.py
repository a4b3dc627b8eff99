# ruff: noqa: PT018 - facts that belong together
"""The class protocol, rule by rule, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.harness import until


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def outputs(server: Any, prompt: dict[str, Any], **fields: Any) -> Any:
    entry = server.run(prompt, **fields)
    assert entry["status"]["status_str"] == "success", str(entry["status"]["messages"][-1])
    return entry["outputs"]


def refusal(server: Any, prompt: dict[str, Any]) -> Any:
    status, value = server.ask("POST", "/prompt", {"prompt": prompt})
    assert status == 400, value
    return value


def test_every_form_of_declaration_is_told_to_editors(server: Any) -> None:
    found = server.get("/object_info/RuleKinds")["RuleKinds"]
    required, optional = found["input"]["required"], found["input"]["optional"]
    assert required["whole"][0] == "INT" and required["whole"][1]["max"] == 0xFFFFFFFFFFFFFFFF
    assert required["whole"][1]["display"] == "slider"
    assert required["text"] == ["STRING", {"dynamicPrompts": True, "default": "x", "multiline": True}]
    assert required["choice"][0] == ["a", "b", 3, "None"]
    assert required["combo"][0] == ["p", "q"] and required["combo"][1]["default"] == "q"
    assert optional["either"][0] == "IMAGE,MASK" and optional["bare"][0] == "LATENT"
    assert optional["any"] == ["*", {"forceInput": True}] and optional["custom"][1]["default"] == [1, 2]
    assert found["output"] == ["STRING", "COMBO", "*"] and found["output_name"][0] == "seen"
    assert found["output_tooltips"][0] == "What it got." and found["display_name"] == "All Kinds"
    assert found["deprecated"] and found["experimental"] and found["output_node"]
    assert found["category"] == "rules" and found["python_module"] == "custom_nodes.rules-pack_x_v1"


def test_constants_are_converted_by_declared_type_and_hidden_inputs_filled(server: Any) -> None:
    shown = outputs(
        server, {"7": node("RuleKinds", whole="5", real=1, text=3, flag=0, choice="a", combo="q", other=1)}
    )["7"]
    assert shown["got"][0] == {
        "whole": "int", "real": "float", "text": "str", "flag": "bool", "choice": "str", "combo": "str",
        "id": "str", "token": "NoneType",
    }  # fmt: skip
    assert shown["values"] == [False, True, "", "text", {"n": "7"}]


def test_a_hidden_input_of_a_packs_own_kind_is_passed_only_when_the_graph_gives_it(server: Any) -> None:
    for more in ({"odd": 3}, {"odd": ["1", 0]}):
        prompt = {
            "1": node("RuleSource", value=5),
            "7": node("RuleKinds", whole=1, real=1, text="", flag=0, choice="a", combo="q"),
        }
        prompt["7"]["inputs"] |= more
        assert outputs(server, prompt)["7"]["got"][0]["odd"] == "int"


def test_links_arrive_whether_declared_or_not_and_undeclared_constants_do_not(server: Any) -> None:
    prompt = {"1": node("RuleSource", value=5), "2": node("RuleShow", value=["1", 0], more=["1", 0], constant=3)}
    assert outputs(server, prompt)["2"] == {"text": ["5"], "names": ["more", "value"]}


def test_missing_optional_inputs_are_not_passed(server: Any) -> None:
    assert outputs(server, {"1": node("RuleShow")})["1"]["text"] == ["'nothing'"]


@pytest.mark.parametrize("kind", ["RuleOpen", "RuleOpenWhenBuilt"])
def test_a_container_that_claims_all_names_gets_undeclared_constants(server: Any, kind: str) -> None:
    assert outputs(server, {"1": node(kind, lora_1={"on": True}, z=3)})["1"]["names"] == ["lora_1", "z"]


def test_results_may_be_shorter_or_missing(server: Any) -> None:
    prompt = {
        "1": node("RulePlain", value=4),
        "2": node("RuleShow", value=["1", 0]),
        "3": node("RuleShow", value=["1", 2]),
    }
    shown = outputs(server, prompt)
    assert (shown["2"]["text"], shown["3"]["text"]) == (["4"], ["None"])
    prompt = {"1": node("RulePlain", value=0), "2": node("RuleShow", value=["1", 0])}
    assert outputs(server, prompt)["2"]["text"] == ["None"]


def test_a_single_value_that_is_no_tuple_is_an_error_that_says_so(server: Any) -> None:
    status = server.run({"1": node("RuleSingle")})["status"]
    assert status["status_str"] == "error" and "`(value,)`" in str(status["messages"])


def test_one_instance_per_node_id_is_kept_between_jobs(server: Any) -> None:
    prompt = {"1": node("RuleCounter", by=1), "2": node("RuleCounter", by=10)}
    first, second = outputs(server, prompt), outputs(server, prompt)
    assert (first["1"]["count"], first["2"]["count"]) == ([1], [10])
    assert (second["1"]["count"], second["2"]["count"]) == ([2], [20])


def test_lists_are_mapped_and_shorter_ones_repeat_their_last_item(server: Any) -> None:
    prompt = {
        "1": node("RuleMakeList", count=3),
        "2": node("RuleMakeList", count=2),
        "3": node("RuleAddEach", a=["1", 0], b=["2", 0]),
        "4": node("RuleTakeList", items=["3", 0], by=3),
        "5": node("RuleAddEach", a=["4", 0], b=["1", 1]),
    }
    shown = outputs(server, prompt)
    assert shown["3"]["sum"] == [0, 2, 3]
    assert shown["4"] == {"items": [0, 2, 3], "by": [3], "id": ["4"]}
    assert shown["5"]["sum"] == [18]


def ran(server: Any, prompt: dict[str, Any], what: str) -> int:
    before = server.noted().count(what)
    outputs(server, prompt)
    return int(server.noted().count(what)) - before


def test_is_changed_is_part_of_what_a_result_depends_on(server: Any) -> None:
    for how, again in (("same", 0), ("nan", 1), ("raise", 1)):
        prompt = {"0": node("RuleSource", value=how), "1": node("RuleChanged", how=how, value=["0", 0])}
        assert ran(server, prompt, f"ran={how}") == 1
        assert ran(server, prompt, f"ran={how}") == again, how
    assert "asked=None" in server.noted()


def test_validate_inputs_owns_the_range_of_what_it_names(server: Any) -> None:
    assert outputs(server, {"1": node("RuleChecked", n=50, m=1)})["1"]["n"] == [50]
    errors = refusal(server, {"1": node("RuleChecked", n=50, m=9)})["node_errors"]["1"]["errors"]
    assert [error["type"] for error in errors] == ["value_bigger_than_max"]
    errors = refusal(server, {"1": node("RuleChecked", n=200, m=1)})["node_errors"]["1"]["errors"]
    assert errors[0]["type"] == "custom_validation_failed" and "200 is too much" in str(errors)
    errors = refusal(server, {"1": node("RuleChecked", n=13, m=1)})["node_errors"]["1"]["errors"]
    assert errors[0]["type"] == "exception_during_inner_validation" and "thirteen" in str(errors)


def test_a_check_that_names_input_types_judges_links_itself(server: Any) -> None:
    made = node("RuleKinds", whole=1, real=0, text="", flag=True, choice="a", combo="p")
    fine = {"1": made, "2": node("RuleCheckedTypes", image=["1", 0], file="not in the list")}
    assert outputs(server, fine)["2"]["file"] == ["not in the list"]
    errors = refusal(server, {"1": node("RuleMakeList", count=3), "2": node("RuleCheckedTypes", image=["1", 0])})
    assert "INT" in str(errors["node_errors"]["2"])


def test_only_the_lazy_input_that_is_asked_for_is_made(server: Any) -> None:
    prompt = {
        "1": node("RuleSource", value="wanted"),
        "2": node("RuleSource", value="unwanted"),
        "3": node("RuleLazy", on=True, yes=["1", 0], no=["2", 0]),
        "4": node("RuleShow", value=["3", 0]),
    }
    assert outputs(server, prompt)["4"]["text"] == ["'wanted'"]
    assert "source=wanted" in server.noted() and "source=unwanted" not in server.noted()


def test_a_raw_link_is_passed_as_it_is(server: Any) -> None:
    assert outputs(server, {"1": node("RuleSource", value=1), "2": node("RuleRaw", link=["1", 0])})["2"]["link"] == [
        "1",
        0,
    ]


def test_a_blocker_skips_what_receives_it_and_a_message_is_its_error(server: Any) -> None:
    prompt = {
        "1": node("RuleSource", value=1),
        "2": node("RuleBlock", value=["1", 0], message=""),
        "3": node("RuleShow", value=["2", 0]),
        "4": node("RuleShow", value=["1", 0]),
    }
    assert set(outputs(server, prompt)) == {"4"}
    status = server.run({**prompt, "2": node("RuleBlock", value=["1", 0], message="not today")})["status"]
    assert status["status_str"] == "error" and "not today" in str(status["messages"])


def test_hidden_inputs_tell_id_prompt_workflow_and_graph(server: Any) -> None:
    extra = {"extra_pnginfo": {"workflow": {"nodes": []}}}
    shown = outputs(server, {"5": node("RuleHidden") | {"_meta": {"title": "Mine"}}}, extra_data=extra)["5"]
    assert shown == {
        "id": ["5"],
        "prompt": [["5"]],
        "info": [{"workflow": {"nodes": []}}],
        "kind": ["RuleHidden", "Mine"],
    }


def test_what_a_node_writes_into_graph_and_workflow_is_in_the_pictures_that_follow(
    server: Any, packs_base: Path
) -> None:
    workflow = {"nodes": [{"id": 1, "type": "RuleRemember", "widgets_values": [-1]}]}
    prompt = {
        "1": node("RuleRemember", seed=-1),
        "2": node("EmptyImage", width=8, height=8, batch_size=1, color=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix="remembered"),
    }
    (saved,) = outputs(server, prompt, extra_data={"extra_pnginfo": {"workflow": workflow}})["3"]["images"]
    with Image.open(packs_base / "output" / saved["filename"]) as picture:
        assert json.loads(picture.text["prompt"])["1"]["inputs"] == {"seed": 77}
        assert json.loads(picture.text["workflow"])["nodes"][0]["widgets_values"] == [77]


def test_where_a_list_belongs_the_items_of_something_else_are_taken(server: Any) -> None:
    prompt = {
        "1": node("RuleSloppy"),
        "2": node("RuleShow", value=["1", 0]),
        "3": node("RuleShow", value=["1", 1]),
        "4": node("RuleShow", value=["1", 2]),
    }
    shown = outputs(server, prompt)
    assert shown["1"] == {"text": ["a", "b", "c"], "pair": [1, 2], "whole": [5]}
    assert [shown[id]["text"] for id in "234"] == [["0", "1", "2"], ["'x'", "'y'"], ["7"]]


def test_a_node_expands_into_itself_until_it_is_done(server: Any) -> None:
    prompt = {
        "1": node("RuleSource", value=10),
        "2": node("RuleRepeat", left=4, value=["1", 0]),
        "3": node("RuleShow", value=["2", 0]),
    }
    assert outputs(server, prompt)["3"]["text"] == ["14"]


def test_async_functions_run_at_the_same_time_and_an_error_ends_the_job(server: Any) -> None:
    outputs(server, {str(n): node("RuleLater", seconds=n / 1000, together=8) for n in range(8)})
    assert [line for line in server.noted() if line.startswith("later")] == ["later-begins"] * 8 + ["later-ends"] * 8
    fails, goes_on = (node("RuleLater", seconds=n, fail=not n, together=2) for n in (0, 30))
    status = server.run({"1": fails, "2": goes_on})["status"]
    assert status["status_str"] == "error" and "late" in str(status["messages"])
    assert "later-cancelled" in server.noted()


def test_choices_that_come_from_a_folder_are_fresh(server: Any) -> None:
    folder = server.base / "custom_nodes" / "rules-pack.v1" / "choices"
    assert server.get("/object_info/RuleOffer")["RuleOffer"]["input"]["required"]["file"][0] == []
    folder.mkdir()
    (folder / "new.txt").touch()
    assert outputs(server, {"1": node("RuleOffer", file="new.txt")})["1"]["file"] == ["new.txt"]

    def offered() -> Any:  # a list of choices is good for a moment
        return server.get("/object_info")["RuleOffer"]["input"]["required"]["file"][0]

    until(lambda: offered() == ["new.txt"], "the choice")
    assert server.get("/object_info/RuleOffer")["RuleOffer"]["input"]["required"]["file"][0] == ["new.txt"]
    assert (
        refusal(server, {"1": node("RuleOffer", file="old.txt")})["node_errors"]["1"]["errors"][0]["type"]
        == "value_not_in_list"
    )


def test_v3_classes_run_beside_the_others(server: Any) -> None:
    found = server.get("/object_info/V3Sum")["V3Sum"]
    assert found["display_name"] == "Sum of two" and found["input"]["required"]["how"][0] == ["plus", "minus"]
    prompt = {
        "1": node("V3Sum", a=3, b=0.5, how="minus"),
        "2": node("V3Later", value=["1", 0], block=False),
        "3": node("RuleShow", value=["2", 0]),
    }
    shown = outputs(server, prompt)
    assert shown["1"] == {"sum": [2.5], "id": ["1"]} and shown["3"]["text"] == ["2.5"]
    assert "too large" in str(refusal(server, {"1": node("V3Sum", a=200, b=0.5, how="plus")}))
    blocked = server.run({**prompt, "2": node("V3Later", value=["1", 0], block=True)})
    assert "blocked here" in str(blocked["status"]["messages"])
