# ruff: noqa: PT018 - facts that belong together
"""The tricks that packs of the field play on the class protocol, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

Prompt = dict[str, Any]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"Trick{kind}", "inputs": inputs}


def outputs(server: Any, prompt: Prompt, **fields: Any) -> Any:
    entry = server.run(prompt, **fields)
    assert entry["status"]["status_str"] == "success", str(entry["status"]["messages"][-1])
    return entry["outputs"]


def failure(server: Any, prompt: Prompt) -> Any:
    """What is told of the node that failed."""
    status = server.run(prompt)["status"]
    assert status["status_str"] == "error", status
    return next(data for kind, data in status["messages"] if kind == "execution_error")


def refused(server: Any, prompt: Prompt) -> Any:
    status, value = server.ask("POST", "/prompt", {"prompt": prompt})
    assert status == 400, value
    return value["node_errors"]


def ran(server: Any, prompt: Prompt, what: str) -> int:
    before = server.noted().count(what)
    outputs(server, prompt)
    return int(server.noted().count(what)) - before


# -- types


def test_types_are_compared_by_their_own_inequality_and_nothing_else(server: Any) -> None:
    source = {"1": node("Emit", value="v"), "2": node("EmitList", count=1), "3": node("Loop", left=0, so_far="s")}
    assert outputs(server, {**source, "4": node("Smart", value=["1", 0], other=["3", 0])})["4"]["got"] == ["v", "s"]
    assert outputs(server, {**source, "4": node("Smart", value=["2", 0])})["4"]["got"] == ["0", "None"]
    errors = refused(server, {**source, "4": node("Smart", value=["3", 0])})["4"]["errors"]
    assert errors[0]["type"] == "return_type_mismatch"


def test_links_may_name_outputs_beyond_those_that_are_listed(server: Any) -> None:
    prompt = {"1": node("Many", count=4)} | {str(2 + n): node("Any", value=["1", n]) for n in range(6)}
    shown = outputs(server, prompt)
    assert [shown[str(2 + n)]["got"] for n in range(6)] == [[0], [1], [2], [3], ["None"], ["None"]]
    assert refused(server, {"1": node("Many", count=4), "2": node("Any", value=["1", 64])})["2"]
    assert server.get("/object_info/TrickMany")["TrickMany"]["output"] == ["*"]


def test_return_types_may_be_nested_or_lists_of_choices(server: Any) -> None:
    found = server.get("/object_info/TrickNested")["TrickNested"]
    assert found["output"] == ["*", "COMBO", "INT"] and found["output_name"] == ["first", "second", "INT"]
    prompt = {"1": node("Nested")} | {str(2 + n): node("Any", value=["1", n]) for n in range(3)}
    shown = outputs(server, prompt)
    assert [shown[str(2 + n)]["got"] for n in range(3)] == [["x"], ["b"], ["None"]]


def test_numbers_may_be_bounded_by_floats_by_nothing_or_by_what_no_64_bits_hold(server: Any) -> None:
    required = server.get("/object_info/TrickNumbers")["TrickNumbers"]["input"]["required"]
    assert required["huge"][1]["max"] == 2**64 - 1 and required["huge"][1]["min"] == -(2**63)
    assert "max" not in required["real"][1] or required["real"][1]["max"] is None
    shown = outputs(server, {"1": node("Numbers", huge=2**63, floating=2, bare=-5, real=1e300, triple="t")})["1"][
        "given"
    ][0]
    assert shown["huge"] == ["int", str(2**63)] and shown["floating"] == ["int", "2"]
    assert shown["bare"] == ["int", "-5"] and shown["real"] == ["float", "1e+300"] and shown["triple"] == ["str", "t"]


def test_choices_that_are_no_texts_keep_their_kind(server: Any) -> None:
    assert server.get("/object_info/TrickChoices")["TrickChoices"]["input"]["required"]["n"][0][:4] == [
        1,
        2.5,
        True,
        "None",
    ]
    assert outputs(server, {"1": node("Choices", n=2.5)})["1"] == {"n": [2.5], "kind": ["float"]}


# -- containers of inputs


def test_a_container_that_claims_some_names_gets_the_constants_of_those_and_every_link(server: Any) -> None:
    prompt = {
        "1": node("Emit", value="v"),
        "2": node("SomeLoras", lora_1={"on": 1}, other=3, declared=2, link=["1", 0]),
    }
    assert outputs(server, prompt)["2"]["given"] == [{"lora_1": {"on": 1}, "declared": 2, "link": "v"}]


@pytest.mark.parametrize("kind", ["ByCaller", "ByCallersCaller"])
def test_a_container_shown_only_to_who_builds_a_graph_is_found(server: Any, kind: str) -> None:
    assert outputs(server, {"1": node(kind, z=3, one=1)})["1"]["names"] == ["one", "z"]


def test_hidden_sections_may_claim_all_names_or_hold_plain_types(server: Any) -> None:
    shown = outputs(server, {"8": node("HidesAll", anything="goes")})["8"]
    assert shown == {"id": ["8"], "given": [{"anything": "goes"}]}
    two = outputs(server, {"a": node("HidesAll"), "b": node("HidesAll")})
    assert (two["a"]["id"], two["b"]["id"]) == (["a"], ["b"])
    assert outputs(server, {"8": node("HidesPlainTypes", extra=5, stray=1)})["8"]["names"] == ["extra", "id"]
    assert outputs(server, {"8": node("HidesPlainTypes")})["8"]["names"] == ["id"]


# -- results


def test_what_a_list_of_runs_shows_is_joined_by_name(server: Any) -> None:
    prompt = {"1": node("EmitList", count=3), "2": node("Loud", n=["1", 0])}
    assert outputs(server, prompt)["2"] == {"text": ["n=0", "n=1", "n=2"], "flag": [False, False, True]}


def test_results_may_be_none_or_only_something_to_show(server: Any) -> None:
    shown = outputs(server, {"1": node("GivesNothing"), "2": node("OnlyUi"), "3": node("Any", value=["1", 1])})
    assert shown["2"] == {"said": ["x"]} and shown["3"]["got"] == ["None"]


def test_functions_may_be_static_or_of_the_class(server: Any) -> None:
    prompt = {
        "1": node("Static", n=1),
        "2": node("Classy", n=1),
        "3": node("Any", value=["1", 0]),
        "4": node("Any", value=["2", 0]),
    }
    shown = outputs(server, prompt)
    assert (shown["3"]["got"], shown["4"]["got"]) == ([2], ["Classy 1"])


def test_state_in_a_module_stays_between_jobs(server: Any) -> None:
    first = outputs(server, {"1": node("Globals")})["1"]["calls"][0]
    assert outputs(server, {"9": node("Globals")})["9"]["calls"] == [first + 1]


def test_is_changed_may_be_static_and_take_anything(server: Any) -> None:
    assert ran(server, {"1": node("Changes", n=3)}, "changes=3") == 1
    assert ran(server, {"1": node("Changes", n=3)}, "changes=3") == 0


def test_a_check_that_takes_anything_owns_every_range_and_choice(server: Any) -> None:
    assert outputs(server, {"1": node("ValidatesAll", n=50, file="new")})["1"] == {"n": [50], "file": ["new"]}
    errors = refused(server, {"1": node("ValidatesAll", n=200, file="a")})["1"]["errors"]
    assert errors[0]["type"] == "custom_validation_failed" and "too much for it" in str(errors)
    assert refused(server, {"1": node("ValidatesFalse")})["1"]["errors"][0]["type"] == "custom_validation_failed"


# -- lazy inputs


def test_lazy_status_is_asked_again_until_nothing_is_missing(server: Any) -> None:
    sources = {name: node("Emit", value=f"lazy {name}") for name in "abc"}
    shown = outputs(server, {**sources, "1": node("Steps", a=["a", 0], b=["b", 0], c=["c", 0])})["1"]
    assert shown["got"] == ["lazy a", "lazy b", None]
    assert "emit=lazy" in server.notes.read_text() and "emit=lazy c" not in server.notes.read_text()
    assert "status=lazy a,None,None" in server.notes.read_text()


def test_of_a_list_what_any_item_asks_for_is_made(server: Any) -> None:
    prompt = {
        "1": node("EmitList", count=2),
        "2": node("Emit", value="y"),
        "3": node("Emit", value="n"),
        "4": node("LazyPerItem", on=["1", 0], yes=["2", 0], no=["3", 0]),
    }
    assert outputs(server, prompt)["4"]["got"] == ["n", "y"]


def test_a_lazy_input_of_a_class_that_never_asks_is_made(server: Any) -> None:
    prompt = {"1": node("Emit", value="made"), "2": node("LazyWithoutStatus", a=["1", 0])}
    assert outputs(server, prompt)["2"]["got"] == ["made"]


# -- blockers and errors


def test_a_blocker_stops_single_items_of_a_list(server: Any) -> None:
    prompt = {"1": node("EmitList", count=4), "2": node("BlockOdd", n=["1", 0]), "3": node("Loud", n=["2", 0])}
    assert outputs(server, prompt)["3"]["text"] == ["n=0", "n=2"]


def test_after_an_error_what_was_made_is_not_made_again(server: Any) -> None:
    prompt = {"1": node("Emit", value="before the error"), "2": node("Fails", value=["1", 0])}
    error = failure(server, prompt)
    assert error["node_id"] == "2" and "as told: before the error" in error["exception_message"]
    assert "tricks" in "".join(error["traceback"])
    failure(server, prompt)
    assert server.notes.read_text().count("emit=before the error") == 1


# -- reuse


def test_results_are_reused_by_what_a_node_reads_and_never_by_its_id(server: Any) -> None:
    prompt = {"1": node("Emit", value="once"), "2": node("Any", value=["1", 0])}
    assert ran(server, prompt, "emit=once") == 1
    again = {"a": node("Emit", value="once"), "b": node("Any", value=["a", 0]), "c": node("Any", value=["a", 0])}
    assert ran(server, again, "emit=once") == 0
    shown = outputs(server, again)
    assert shown["b"]["got"] == shown["c"]["got"] == ["once"]


# -- expansion


def test_an_expansion_may_hold_python_objects_and_show_its_nodes_on_another(server: Any) -> None:
    prompt = {
        "1": node("Emit", value="v"),
        "2": node("ExpandsObject", value=["1", 0]),
        "3": node("Show", value=["2", 0], link=["2", 1]),
    }
    entry = server.run(prompt)
    assert entry["outputs"].pop("3")["shown"] == ["'expanded'", "Thing beside"]
    [(inside, shown)] = entry["outputs"].items()
    assert shown["shown"] == ["Thing inside", "'v'"] and entry["meta"][inside]["display_node"] == "1"


def test_a_loop_expands_into_itself_and_is_reused_whole(server: Any) -> None:
    prompt = {"1": node("Loop", left=5, so_far=""), "2": node("Any", value=["1", 0])}
    assert ran(server, prompt, "append=1") == 1
    assert outputs(server, prompt)["2"]["got"] == ["54321"]
    assert ran(server, prompt, "loop=5") == 0
    longer = {"1": node("Loop", left=6, so_far=""), "2": node("Any", value=["1", 0])}
    assert outputs(server, longer)["2"]["got"] == ["654321"]


def test_links_of_an_expansion_may_lead_to_nodes_of_the_graph_around_it(server: Any) -> None:
    prompt = {
        "1": node("Emit", value="outside"),
        "2": node("ExpandsLinks", link=["1", 0]),
        "3": node("Show", value=["2", 0], link=["2", 1]),
    }
    assert outputs(server, prompt)["3"]["shown"] == ["'outside and more'", "'outside'"]


def test_the_graph_that_nodes_are_told_has_those_of_expansions(server: Any) -> None:
    prompt = {"7": node("ExpandsGraph"), "8": node("Any", value=["7", 0])}
    assert outputs(server, prompt)["8"]["got"] == ["TrickGraph in 7 shown on 7"]


def test_a_circle_made_by_an_expansion_is_an_error_of_the_node_that_made_it(server: Any) -> None:
    error = failure(server, {"5": node("ExpandsCircle"), "6": node("Any", value=["5", 0])})
    assert error["node_id"] == "5"


def test_an_expansion_that_is_no_graph_is_an_error_that_says_so(server: Any) -> None:
    error = failure(server, {"5": node("ExpandsGarbage")})
    assert error["node_id"] == "5" and "has no class_type" in error["exception_message"]


# -- registering


def test_classes_put_into_the_fields_own_table_are_nodes_but_built_in_ones_stay(server: Any) -> None:
    assert outputs(server, {"1": node("Registered")})["1"]["module"] == ["custom_nodes.tricks"]
    found = server.get("/object_info/TrickRegistered")["TrickRegistered"]
    assert found["python_module"] == "custom_nodes.tricks" and found["display_name"] == "TrickRegistered"
    pack = next(one for one in server.get("/api/v1/packs")["packs"] if one["name"] == "tricks")
    assert "TrickRegistered" in pack["nodes"] and "EmptyLatentImage" not in pack["nodes"]
    assert "node EmptyLatentImage is left out: a built-in node has that name" in "\n".join(pack["errors"])
    assert server.get("/object_info/EmptyLatentImage")["EmptyLatentImage"]["python_module"].startswith("nodes.")
    latent = {"1": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}}
    assert outputs(server, {**latent, "2": node("Any", value=["1", 0])})["2"]["got"]
