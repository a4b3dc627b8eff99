"""Sweeps: which values, every combination once, one sheet."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path

import pytest
from PIL import Image

from engine.__main__ import make_app
from engine.cli.calls import Caller
from engine.cli.exits import CliError
from engine.cli.graph_source import Graph
from engine.cli.sweep_values import read_sweep
from engine.media.embedded import read_embedded
from engine.media.sheets import Cell, Row, Section, draw_sheet

SAMPLING = {
    "1": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 4, "cfg": 3.0, "sampler_name": "euler", "scheduler": "karras", "denoise": 1.0}},
    "2": {"class_type": "PrimitiveBoolean", "inputs": {"value": True}},
    "3": {"class_type": "PrimitiveString", "inputs": {"value": "x"}, "_meta": {"title": "Text"}},
    "4": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}  # fmt: skip

COLOURS = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 40, "height": 24, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "c"}},
}


@pytest.fixture
def caller(here):
    graph = Graph("g.json", SAMPLING, None, [], [])
    catalogue = make_app(here.folder).load_library().catalogue
    return Caller(graph, catalogue, ArgumentParser(), lambda files: [], lambda name, kind, text, listed: text)


def values(caller, *entries, most=200):
    return [axis.values for axis in read_sweep(caller, entries, {}, most).axes]


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("cfg=3,5,7", [3.0, 5.0, 7.0]),
        ("cfg=0.2..1.0:0.2", [0.2, 0.4, 0.6, 0.8, 1.0]),
        ("cfg=1..3", [1.0, 2.0, 3.0]),
        ("steps=1..10:3", [1, 4, 7, 10]),
        ("steps=5..3,9", [5, 4, 3, 9]),
        ("steps=4,4,2", [4, 2]),
        ("sampler_name=euler, dpmpp_2m", ["euler", "dpmpp_2m"]),
        ("sampler-name=heun", ["heun"]),
        ("2.value=true,off", [True, False]),
        ("Text.value=a, b", ["a, b"]),
        ("seed=5,7..8", [5, 7, 8]),
    ],
)
def test_values_are_read_by_the_type_of_the_parameter(caller, entry, found):
    assert values(caller, entry) == [found]


def test_an_option_written_again_adds_values_and_seeds_are_drawn(caller):
    assert values(caller, "Text.value=a, b", "Text.value=c") == [["a, b", "c"]]
    [seeds] = values(caller, "seed=random*4")
    assert len(set(seeds)) == 4


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["cfg"], "expected NAME=VALUES"),
        (["cgf=1,2"], "Did you mean cfg?"),
        (["cfg=1,,2"], "empty value"),
        (["cfg=0.5..2"], "needs a step"),
        (["cfg=0..2:0"], "step of 0"),
        (["cfg=1,many,900", "sampler_name=euler,oiler"], "3 problems"),
        (["sampler_name=euler,oiler"], "euler"),
        (["seed=random*9999999999"], "9999999999 cells are more than 200"),
        (["seed=1..9999999999"], "9999999999 cells are more than 200"),
        (["steps=1..20", "seed=1..20"], "400 cells (20 × 20) are more than 200"),
    ],
)
def test_what_cannot_be_swept_is_told(caller, entries, said):
    with pytest.raises(CliError) as refused:
        values(caller, *entries)
    assert refused.value.code == 2
    assert said in str(refused.value)


def test_a_parameter_is_not_given_and_swept_at_once(caller):
    with pytest.raises(CliError, match="cfg is given, and swept too"):
        read_sweep(caller, ["cfg=1,2"], {"cfg": "3"}, 200)


def test_every_combination_runs_once_and_lands_on_one_sheet_that_carries_the_workflow(here):
    file = here.write("colours.json", COLOURS)
    done = here.run("run", file, "--sweep", "width=40,60", "--sweep", "color=255,65280,0")
    *pictures, sheet = map(Path, done.out.split())
    colours = []
    for path in pictures:
        with Image.open(path) as picture:
            colours.append((picture.width, picture.getpixel((0, 0))))
    blue, green, black = (0, 0, 255), (0, 255, 0), (0, 0, 0)
    assert colours == [(40, blue), (60, blue), (40, green), (60, green), (40, black), (60, black)]
    assert sheet.name == "colours_sweep_00001_.png"
    with Image.open(sheet) as picture:
        found = {picture.getpixel((x, y)) for x in range(picture.width) for y in range(picture.height)}
        assert {blue, green, black, (255, 255, 255)} <= found
        assert json.loads(picture.text["sweep"]) == {"width": [40, 60], "color": [255, 65280, 0]}
    assert read_embedded(sheet.read_bytes()).prompt["1"]["inputs"]["color"] == 255
    again = here.run("run", str(sheet))
    assert again.said.endswith("reused 2 of 2\n")


def test_a_sweep_as_json_and_as_lines_tells_each_cell_with_its_values_and_files(here, tmp_path):
    file = here.write("colours.json", COLOURS)
    sheet = str(tmp_path / "sheet.webp")
    options = ["run", file, "--sweep", "width=16,32", "--sheet", sheet, "--out", str(tmp_path / "out")]
    told = here.json(*options)
    assert told["sheet"] == sheet
    assert read_embedded(Path(sheet).read_bytes()).prompt["1"]["inputs"]["width"] == 16
    assert [(one["cell"], one["values"], one["status"]) for one in told["cells"]] == [
        (1, {"width": 16}, "done"),
        (2, {"width": 32}, "done"),
    ]
    assert all(Path(one["files"][0]).parent == tmp_path / "out" for one in told["cells"])
    lines = here.lines(*options)
    cells = [one for one in lines if one["event"] == "cell"]
    assert [{name: one[name] for name in told["cells"][0]} for one in cells] == told["cells"]
    assert {one["cell"] for one in lines if one["event"] in ("started", "reused", "output")} == {1, 2}
    assert lines[-2:] == [
        {"event": "sheet", "path": sheet},
        {"event": "finished", "status": "done", "cells": 2, "failed": 0},
    ]


def test_a_cell_that_fails_is_marked_and_told_and_the_others_go_on(here):
    graph = {**COLOURS, "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
    Image.new("RGB", (8, 8), "blue").save(Path(here.write("input/a.png", b"")))
    here.write("input/broken.png", "no picture")
    file = here.write("load.json", graph)
    told = here.json("run", file, "--sweep", "1.image=a.png", "--set", "filename_prefix=x")
    assert [one["status"] for one in told["cells"]] == ["done"]
    refused = here.run("run", file, "--sweep", "1.image=a.png", "--sweep", "1.image=broken.png", code=4)
    assert "is not a picture" in refused.said
    graph["1"] = {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}}
    graph["2"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}
    file = here.write("names.json", graph)
    told = here.json("run", file, "--sweep", "filename_prefix=ok", "--sweep", "filename_prefix=../../out", code=1)
    assert [one["status"] for one in told["cells"]] == ["done", "failed"]
    assert told["failed"] == 1
    assert told["cells"][1]["message"]
    with Image.open(told["sheet"]) as picture:
        assert (250, 224, 222) in {
            picture.getpixel((x, y)) for x in range(picture.width) for y in range(picture.height)
        }


def test_a_sheet_is_bounded_however_much_is_on_it(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.media.sheets.MOST_PIXELS", 800_000)
    monkeypatch.setattr("engine.media.sheets.LONGEST_SIDE", 1_500)
    Image.new("RGB", (400, 300), "red").save(tmp_path / "a.png")
    cells = [Cell([tmp_path / "a.png"] * 3)] * 6
    sheet = draw_sheet("t", [Section("h", [Row(f"row {at}", ["c"] * 6, cells) for at in range(4)])])
    assert sheet.width * sheet.height <= 800_000
    assert max(sheet.size) <= 1_500


def test_further_axes_are_sections_and_what_is_no_picture_is_a_text(tmp_path):
    (tmp_path / "broken.png").write_text("x")
    row = Row(
        "a very long label that goes over several lines " * 9, (), [Cell(text="words"), Cell([tmp_path / "broken.png"])]
    )
    one = draw_sheet("", [Section("", [row])])
    two = draw_sheet("", [Section("seed = 1", [row]), Section("seed = 2", [row])])
    assert two.height > 2 * one.height - 40


def test_a_sweep_of_3_by_3_encodes_each_text_once(here, tiny_sd):
    (here.folder / "models").symlink_to(tiny_sd.base / "models")
    told = here.lines(
        *(
            "run",
            "text_to_image",
            "--checkpoint",
            "tiny.safetensors",
            "--steps",
            "1",
            "--prompt",
            "red",
            "--negative",
            "blue",
        ),
        *("--width", "16", "--height", "16", "--sweep", "cfg=3,5,7", "--sweep", "sampler_name=euler,heun,dpmpp_2m"),
    )
    ran = [one["class_type"] for one in told if one["event"] == "node" and one["status"] == "finished"]
    assert ran.count("TextEncode") == 2
    assert ran.count("CheckpointLoaderSimple") == 1
    assert ran.count("KSampler") == 9
    assert told[-1] == {"event": "finished", "status": "done", "cells": 9, "failed": 0}
    with Image.open(told[-2]["path"]) as picture:
        assert picture.height > 3 * 32


def test_ctrl_c_ends_a_sweep_and_keeps_what_was_finished(base):
    graph = {
        "1": {"class_type": "TestWait", "inputs": {"value": 5, "seconds": 0.01}},
        "2": {"class_type": "TestSave", "inputs": {"length": ["1", 0]}},
    }
    file = base.write("g.json", graph)
    base.run("validate", file)
    second = base.folder / "output" / "sub" / "file_00001_.bin"
    base.interrupted("run", file, "--sweep", "seconds=0.01,60", when=second)
    assert second.read_bytes() == bytes(5)
    assert base.half_files() == []
