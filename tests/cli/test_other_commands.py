from __future__ import annotations

import re
import subprocess

import pytest


def test_nodes_are_listed_by_category_with_their_first_line(base):
    listed = base.run("nodes").out.splitlines()
    at = listed.index("test/numbers")
    assert [line.split(maxsplit=1) for line in listed[at + 1 : at + 3]] == [
        ["TestAdd", "Add two numbers."],
        ["TestNumber", "Give a number."],
    ]
    assert "KSampler" in "\n".join(listed)


def test_one_node_is_shown_with_types_ranges_and_tips(base):
    shown = base.run("nodes", "TestNumber").out
    for text in ("TestNumber · test/numbers", "value", "INT", "0…100; default 1", "A small number.", "outputs"):
        assert text in shown


def test_a_node_is_found_by_an_alias_of_saved_workflows(base):
    shown = base.run("nodes", "CLIPTextEncode").out
    assert shown.startswith("TextEncode ·")
    assert "also known as CLIPTextEncode" in shown


def test_nodes_as_json_have_all_declared_facts(base):
    spec = base.json("nodes", "TestNumber")
    assert spec["inputs"] == [
        {"name": "value", "type": "INT", "default": 1, "ge": 0, "le": 100, "tip": "A small number."}
    ]
    everything = base.json("nodes")
    assert {"TestNumber", "SaveImage"} <= {one["name"] for one in everything["nodes"]}
    assert everything["problems"] == []


def test_an_unknown_node_ends_with_2_and_the_nearest_names(base):
    assert "TestNumber" in base.run("nodes", "TestNumbr", code=2).said


def test_a_broken_pack_is_told_beside_the_list(base):
    base.write("custom_nodes/broken.py", "1 / 0\n")
    done = base.run("nodes")
    assert "line 1: ZeroDivisionError: division by zero" in done.said
    assert "TestNumber" in done.out


def test_a_sound_workflow_is_said_to_be_sound(base, sum_file):
    assert base.run("validate", sum_file).out == "sum.json is sound: 4 nodes, 1 output.\n"
    assert base.json("validate", sum_file)["status"] == "sound"
    assert base.ran == []


def test_validate_lists_all_problems_and_ends_with_3(base):
    graph = {
        "1": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "label": 3}},
        "2": {"class_type": "Nonesuch", "inputs": {}},
    }
    file = base.write("g.json", graph)
    said = base.run("validate", file, code=3).said
    assert re.search(r"cannot run: \d problems", said)
    kinds = {one["type"] for one in base.json("validate", file, code=3)["problems"]}
    assert "missing_node_type" in kinds
    assert len(kinds) > 1


def test_a_cycle_of_two_nodes_is_counted_and_told_as_one_problem(base):
    graph = {
        "1": {"class_type": "TestAdd", "inputs": {"a": ["2", 0], "b": 1}},
        "2": {"class_type": "TestAdd", "inputs": {"a": ["1", 0], "b": 1}},
        "3": {"class_type": "TestShow", "inputs": {"value": ["2", 0]}},
    }
    file = base.write("g.json", graph)
    said = base.run("validate", file, code=3).said
    assert "cannot run: 1 problem." in said
    assert said.count("in a circle") == 1
    assert len(base.json("validate", file, code=3)["problems"]) == 2


def test_validate_takes_values_too(base, sum_file):
    base.run("validate", sum_file, "--set", "1.value=200", code=3)


def test_workflows_are_listed_and_shown_with_their_parameters(base, sum_file):
    base.write("workflows/mine.json", {"1": {"class_type": "TestShow", "inputs": {"value": 1, "label": "x"}}})
    listed = base.run("workflows", apart=False).out
    assert "mine" in listed
    assert "text_to_image" in listed
    shown = base.run("workflows", "mine").out
    rows = [line.split() for line in shown.partition("mine.json: --set takes\n")[2].splitlines()]
    assert rows == [["value", "INT", "1"], ["label", "STRING", "x"]]
    assert ["file", "file", "node", "1"] in [line.split() for line in shown.splitlines()]


def test_the_list_as_json_has_signatures_and_says_what_cannot_be_read(base):
    base.write("workflows/broken.json", "{")
    found = {one["name"]: one for one in base.json("workflows")}
    assert "not valid JSON" in found["broken"]["error"]
    parameters = {one["name"]: one for one in found["text_to_image"]["parameters"]}
    assert parameters["steps"]["schema"] == {
        "type": "integer",
        "description": "How many denoising steps to take.",
        "minimum": 1,
        "maximum": 10000,
        "default": 20,
    }
    assert found["text_to_image"]["outputs"] == [{"name": "image", "node": "7", "kind": "image", "doc": ""}]


def test_the_cache_is_counted_and_cleared(base, sum_file):
    assert base.json("cache")["actions"] == 0
    base.run("run", sum_file)
    info = base.json("cache", "info")
    assert info["actions"] == 4
    assert info["folder"] == str(base.folder / ".safelight" / "cache")
    assert "results" in base.run("cache").out
    base.run("cache", "clear")
    assert base.json("cache")["actions"] == 0
    assert base.run("run", sum_file).said.endswith("ran 4, reused 0 of 4\n")


def test_a_wrong_setting_ends_with_2(base, sum_file):
    base.write("safelight.toml", "[cache]\nram = 3\n")
    assert "unknown field `ram`" in base.run("run", sum_file, code=2, apart=False).said


def test_the_version_is_told(base):
    assert base.run("--version", apart=False).out.startswith("safelight ")


@pytest.mark.parametrize("arguments", [[], ["runn"], ["cache", "burn"], ["run"]])
def test_a_wrong_command_ends_with_2_and_the_usage(base, arguments):
    assert "usage: safelight" in base.run(*arguments, code=2, apart=False).said


def test_a_terminal_of_few_letters_is_no_reason_to_fail(base):
    done = subprocess.run(
        base.command("nodes", "TestNumber"),
        capture_output=True,
        env=base.environment(PYTHONIOENCODING="ascii"),
        check=False,
    )
    assert done.returncode == 0
    assert b"TestNumber" in done.stdout


def test_help_states_the_exit_codes(base):
    assert "130 interrupted" in " ".join(base.run("run", "--help", apart=False).out.split())


def test_a_recipe_that_is_missing_or_wrong_is_told(base):
    base.run("train", "nowhere.toml", code=4, apart=False)
    said = base.run("train", base.write("r.toml", "name = 'x'\n"), code=2, apart=False).said
    assert "r.toml" in said
    base.run("train", base.write("r.toml", "name = 'x'\n"), "--max-minutes", "0", code=2, apart=False)
