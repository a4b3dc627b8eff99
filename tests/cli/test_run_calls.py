"""Parameters of a workflow as options of `safelight run`."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image

GREETING: dict[str, Any] = {
    "nodes": [
        {"id": 1, "type": "PrimitiveString", "outputs": [{"name": "STRING", "type": "STRING", "links": [1]}], "widgets_values": ["world"]},
        {"id": 2, "type": "PrimitiveInt", "outputs": [{"name": "INT", "type": "INT", "links": [2]}], "widgets_values": [3, "fixed"]},
        {"id": 3, "type": "PreviewAny", "inputs": [{"name": "source", "type": "*", "link": 1}]},
        {"id": 4, "type": "PreviewAny", "inputs": [{"name": "source", "type": "*", "link": 2}]},
        {"id": 5, "type": "PrimitiveBoolean", "outputs": [{"name": "BOOLEAN", "type": "BOOLEAN", "links": [3]}], "widgets_values": [False]},
        {"id": 6, "type": "PreviewAny", "inputs": [{"name": "source", "type": "*", "link": 3}]},
        {"id": 7, "type": "PrimitiveString", "outputs": [{"name": "STRING", "type": "STRING", "links": [4]}], "widgets_values": ["kept"]},
        {"id": 8, "type": "PreviewAny", "inputs": [{"name": "source", "type": "*", "link": 4}]},
    ],
    "links": [[1, 1, 0, 3, 0, "STRING"], [2, 2, 0, 4, 0, "INT"], [3, 5, 0, 6, 0, "BOOLEAN"], [4, 7, 0, 8, 0, "STRING"]],
    "version": 0.4,
    "extra": {
        "safelight": {
            "doc": "Greets whoever is named.",
            "parameters": [
                {"name": "who_is_it", "node": 1, "input": "value", "doc": "A name.", "required": True},
                {"name": "times", "node": 2, "input": "value", "min": 1, "max": 9, "default": 4},
                {"name": "loud", "node": 5, "input": "value"},
                {"name": "out", "node": 7, "input": "value"},
            ],
            "outputs": [{"name": "greeting", "node": 3, "doc": "What is said."}],
        }
    },
}  # fmt: skip

PICTURE = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "nowhere.png"}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}


@pytest.fixture
def greeting(here):
    here.write("workflows/greeting.json", GREETING)
    return here


@pytest.fixture
def loading(here):
    return here.write("loading.json", PICTURE)


def png(width: int = 5, height: int = 3) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    return file.getvalue()


def shown(greeting, *arguments: str) -> list[str]:
    """What the four nodes of the greeting show, in order."""
    outputs = greeting.json("run", *arguments)["outputs"]
    return [one["text"] for one in sorted(outputs, key=lambda one: one["node"])]


def test_parameters_are_options_with_dashes_or_without(greeting):
    assert shown(greeting, "greeting", "--who-is-it", "a cat", "--times=7", "--loud") == ["a cat", "7", "true", "kept"]
    assert shown(greeting, "--who_is_it=--x", "greeting", "--no-loud") == ["--x", "4", "false", "kept"]
    done = greeting.run("run", "greeting", "--who_is_it", "--times", "3", code=2)
    assert "--who_is_it: expected a value" in done.said


def test_an_own_option_wins_over_a_parameter_of_its_name_which_set_reaches(greeting, tmp_path):
    folder = str(tmp_path / "o")
    assert shown(greeting, "greeting", "--who-is-it", "x", "--out", folder, "--set", "out=given")[3] == "given"
    told = greeting.run("run", "greeting", "--help").out
    assert "--set out=…" in told
    assert "--out" not in told


def test_what_set_has_set_is_given_and_an_option_wins_over_it(greeting):
    assert shown(greeting, "greeting", "--set", "who_is_it=set", "--set", "times=12")[:2] == ["set", "12"]
    assert shown(greeting, "greeting", "--set", "who_is_it=set", "--who-is-it", "option")[:2] == ["option", "4"]


def test_all_problems_of_a_call_are_told_at_once_and_nothing_runs(greeting):
    done = greeting.run("run", "greeting", "--tims", "2", "--times", "10", "--loud", "perhaps", "--quite", code=2)
    for told in (
        "5 problems",
        "--tims: there is no such option",
        "Did you mean --times?",
        "INT from 1 to 9",
        "true or false",
        "who_is_it: it has no default, and is missing",
        "Did you mean --quiet",
    ):
        assert told in done.said
    assert done.out == ""
    refused = greeting.json("run", "greeting", "--times", "10", code=2)
    assert [(one["type"], one["input_name"]) for one in refused["problems"]] == [
        ("missing_parameter", "who_is_it"),
        ("value_bigger_than_max", "times"),
    ]


def test_an_input_that_is_no_parameter_is_told_to_be_set(greeting):
    greeting.write("workflows/plain.json", {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}})
    assert "--set source=VALUE sets it" in greeting.run("run", "plain", "--source", "y", code=2).said
    assert greeting.run("run", "plain", "--set", "source=y").out == "y\n"


def test_help_shows_the_doc_and_each_parameter_with_type_range_default_and_meaning(greeting):
    told = greeting.run("run", "greeting", "--help").out
    rows = [line.split() for line in told.splitlines()]
    assert "Greets whoever is named." in told
    assert ["--who-is-it", "TEXT", "STRING;", "required"] in rows
    assert ["A", "name."] in rows
    assert ["--times", "N", "INT", "1…9;", "or", "random;", "default", "4"] in rows
    assert ["--loud", "true|false", "BOOLEAN;", "default", "false"] in rows
    assert ["greeting", "text", "node", "3", "What", "is", "said."] in rows
    facts = greeting.json("run", "greeting", "-h")
    assert [one["name"] for one in facts["parameters"]] == ["who_is_it", "times", "loud", "out"]
    assert facts["parameters"][1]["schema"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 9}
    assert "safelight run WORKFLOW" in greeting.run("run", "--help").out


def test_a_seed_is_drawn_and_told(here):
    here.write("workflows/seed.json", {
        "1": {"class_type": "SeedNode", "inputs": {"seed": 1}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    })  # fmt: skip
    drawn = [here.json("run", "seed", "--seed", "random") for _ in range(2)]
    assert drawn[0]["values"]["seed"] != drawn[1]["values"]["seed"]
    assert [one["outputs"][0]["text"] for one in drawn] == [str(one["values"]["seed"]) for one in drawn]


def test_a_picture_is_given_by_any_path_and_copied_under_its_content(here, loading, tmp_path):
    (tmp_path / "mine.jpeg").write_bytes(png())
    done = here.run("run", loading, "--image", str(tmp_path / "mine.jpeg"))
    assert "tensor (1, 3, 5, 3)" in done.out
    [copied] = (here.folder / "input" / "calls").iterdir()
    assert copied.read_bytes() == png()
    assert copied.suffix == ".png"
    again = here.run("run", loading, "--image", "-", stdin=png())
    assert again.said.endswith("reused 2 of 2\n")
    assert len(list((here.folder / "input" / "calls").iterdir())) == 1


def test_a_picture_of_the_input_folder_is_given_by_its_name_or_path(here, loading):
    here.write("input/sub/there.png", png())
    here.run("run", loading, "--image", "sub/there.png")
    assert here.run("run", loading, "--image", str(here.folder / "input/sub/there.png")).said.endswith(
        "reused 2 of 2\n"
    )
    assert not (here.folder / "input" / "calls").exists()


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("text.png", b"dear diary", 4, "is not a picture"),
        ("cut.png", png(64, 64)[:80], 4, "truncated or damaged"),
        ("none.png", b"", 4, "is empty"),
        ("gone.png", None, 4, "there is no file"),
    ],
)
def test_a_file_that_is_no_picture_is_told_before_anything_runs(here, loading, name, content, code, said):
    if content is not None:
        here.write(name, content)
    done = here.run("run", loading, "--image", name, code=code)
    assert said in done.said
    assert "image: " in done.said
    assert not (here.folder / "input" / "calls").exists()


def test_a_picture_that_is_not_here_is_told_with_the_option_that_gives_one(here, loading):
    done = here.run("run", loading, code=3)
    assert "nowhere.png" in done.said
    assert "--image FILE" in done.said


def test_every_event_is_a_line_of_json(here):
    file = here.write("g.json", {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": 3}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}, "_meta": {"title": "Shown"}},
    })  # fmt: skip
    first = here.lines("run", file)
    assert first[0] == {"event": "started", "workflow": "g.json", "values": {}, "nodes": 2}
    assert [(one["node"], one["status"]) for one in first if one["event"] == "node"] == [
        ("1", "started"),
        ("1", "finished"),
        ("2", "started"),
        ("2", "finished"),
    ]
    assert [one["title"] for one in first if one.get("node") == "2" and one["event"] == "node"] == ["Shown", "Shown"]
    assert first[-2] == {"event": "output", "name": "text", "node": "2", "kind": "text", "text": "3"}
    assert first[-1]["event"] == "finished"
    assert first[-1]["summary"] == "ran 2, reused 0 of 2"
    again = here.lines("run", file)
    assert [one["event"] for one in again] == ["started", "reused", "output", "finished"]
    assert again[1]["nodes"] == ["1", "2"]
    [refused] = here.lines("run", file, "--vale", "3", code=2)
    assert refused["event"] == "error"
    assert refused["problems"][0]["type"] == "unknown_parameter"


CALL_WITHOUT_TORCH = """
import sys
from engine.__main__ import main
code = main(sys.argv[1:])
heavy = {"torch", "aiohttp", "rich", "networkx", "numpy", "PIL"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""


@pytest.mark.parametrize("more", [[], ["--help"]])
def test_a_call_that_reuses_everything_and_help_import_nothing_heavy(greeting, more):
    arguments = ["run", "greeting", "--who-is-it", "x", *more]
    greeting.run(*arguments)
    again = subprocess.run(
        [sys.executable, "-c", CALL_WITHOUT_TORCH, *arguments],
        capture_output=True,
        text=True,
        env=greeting.environment(),
        check=False,
    )
    assert again.returncode == 0, again.stderr
    if not more:
        assert again.stderr.endswith("reused 8 of 8\n")
        assert sorted(again.stdout.splitlines()) == ["4", "false", "kept", "x"]
