from __future__ import annotations

import copy
import json
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.media.embedded import read_embedded

PICTURE: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 48, "height": 32, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "sub/blue"}},
}

REUSE_WITHOUT_TORCH = """
import sys
from engine.__main__ import main
code = main(["run", sys.argv[1]])
heavy = {"torch", "rich", "networkx", "numpy", "PIL", "diffusers", "transformers"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""

SAVE = {"1": {"class_type": "TestSave", "inputs": {"length": 10}}}

WORKFLOW: dict[str, Any] = {
    "nodes": [
        {
            "id": 1,
            "type": "TestNumber",
            "inputs": [],
            "outputs": [{"name": "INT", "type": "INT", "links": [1]}],
            "widgets_values": [2],
        },
        {
            "id": 2,
            "type": "TestShow",
            "inputs": [{"name": "value", "type": "INT", "link": 1, "widget": {"name": "value"}}],
            "outputs": [],
            "widgets_values": [0, "sum"],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "INT"]],
    "version": 0.4,
    "extra": {"safelight": {"parameters": [{"name": "amount", "node": 1, "input": "value"}]}},
}


def test_a_run_says_what_ran_and_what_came_out(base, sum_file):
    done = base.run("run", sum_file)
    assert done.out == "sum: 5\n"
    assert done.said.endswith("ran 4, reused 0 of 4\n")
    assert base.ran == ["TestAdd", "TestNumber", "TestNumber", "TestShow"]


def test_a_second_run_reuses_everything_and_gives_the_same(base, sum_file):
    base.run("run", sum_file)
    assert base.ran
    done = base.run("run", sum_file)
    assert done.out == "sum: 5\n"
    assert done.said.endswith("reused 4 of 4\n")
    assert base.ran == []


def test_a_change_runs_only_what_depends_on_it(base, sum_file):
    base.run("run", sum_file)
    assert base.ran
    done = base.run("run", sum_file, "--set", "2.value=4")
    assert done.out == "sum: 6\n"
    assert done.said.endswith("ran 3, reused 1 of 4\n")
    assert base.ran == ["TestAdd", "TestNumber", "TestShow"]


def test_values_are_set_by_name_by_id_and_by_title(base, sum_file):
    done = base.run("run", sum_file, "--set", "label=total = ", "--set", "2.value=10", "--set", "First.value=20")
    assert done.out == "total = : 30\n"


def test_without_the_cache_nothing_is_read_or_kept(base, sum_file):
    base.run("run", sum_file)
    assert base.ran
    done = base.run("run", sum_file, "--no-cache")
    assert done.said.endswith("ran 4, reused 0 of 4\n")


def test_only_what_is_asked_for_runs(base):
    graph = {
        "1": {"class_type": "TestNumber", "inputs": {"value": 1}},
        "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "label": "a"}},
        "3": {"class_type": "TestShow", "inputs": {"value": ["1", 0], "label": "b"}},
    }
    assert base.run("run", base.write("g.json", graph), "--only", "3").out == "b: 1\n"


def test_json_is_all_that_stdout_has(base, sum_file):
    base.run("run", sum_file)
    result = base.json("run", sum_file, "--set", "2.value=4")
    assert result["status"] == "done"
    assert result["summary"] == "ran 3, reused 1 of 4"
    assert result["counts"]["ran"] == 3
    assert result["outputs"] == [{"node": "4", "kind": "text", "text": "sum: 6"}]
    assert {node: facts["status"] for node, facts in result["nodes"].items()} == {
        "1": "reused",
        "2": "ran",
        "3": "ran",
        "4": "ran",
    }
    assert result["nodes"]["3"]["class_type"] == "TestAdd"
    assert result["problems"] == result["failures"] == []


def test_a_graph_may_come_from_standard_input_and_in_an_envelope(base):
    data = json.dumps({"prompt": {"1": {"class_type": "TestShow", "inputs": {"value": 7}}}, "client_id": "x"})
    assert base.run("run", "-", stdin=data.encode()).out == "sum: 7\n"


SETTINGS = """a red apple
Steps: 4, Sampler: Euler a, CFG scale: 5.5, Seed: 77, Size: 64x64, Model: emoji-64, ENSD: 31337, RNG: CPU, Version: v1.9"""


def test_settings_of_the_web_ui_are_sound_and_what_they_lose_is_said(base):
    done = base.run("validate", "-", stdin=SETTINGS.encode())
    assert done.out == "standard input is sound: 7 nodes, 1 output.\n"
    assert "no counterpart here\n  ENSD: 31337" in done.said
    facts = base.json("validate", base.write("settings.txt", SETTINGS))
    assert [one["details"] for one in facts["notes"]] == ["ENSD: 31337"]
    assert "cut off" in base.run("validate", base.write("cut.txt", SETTINGS[:60]), code=3).said


def test_a_saved_workflow_runs_with_the_parameters_it_names(base):
    file = base.write("w.json", WORKFLOW)
    assert base.run("run", file).out == "sum: 2\n"
    assert base.run("run", file, "--set", "amount=9").out == "sum: 9\n"


def test_a_workflow_is_found_by_its_name(base):
    base.write("workflows/mine.json", WORKFLOW)
    assert base.run("run", "mine").out == "sum: 2\n"


def test_a_picture_is_saved_with_the_graph_inside_and_runs_again_from_there(base):
    [path] = base.run("run", base.write("p.json", PICTURE), "--set", "width=64").out.split()
    assert Path(path) == base.folder.resolve() / "output" / "sub" / "blue_00001_.png"
    with Image.open(path) as picture:
        assert picture.size == (64, 32)
    assert read_embedded(Path(path).read_bytes()).prompt["1"]["inputs"]["width"] == 64
    again = subprocess.run(
        [sys.executable, "-c", REUSE_WITHOUT_TORCH, path],
        capture_output=True,
        text=True,
        env=base.environment(),
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert again.stderr.endswith("reused 2 of 2\n")
    assert again.stdout.split() == [path]


def test_the_workflow_inside_a_picture_has_the_values_that_were_set(base):
    workflow = copy.deepcopy(WORKFLOW)
    workflow["nodes"] = [
        {"id": 1, "type": "EmptyImage", "inputs": [], "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}], "widgets_values": [48, 32, 1, 255]},
        {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}], "outputs": [], "widgets_values": ["blue"]},
    ]  # fmt: skip
    workflow["links"] = [[1, 1, 0, 2, 0, "IMAGE"]]
    workflow["extra"]["safelight"]["parameters"] = [{"name": "wide", "node": 1, "input": "width"}]
    [path] = base.run("run", base.write("w.json", workflow), "--set", "wide=80").out.split()
    found = read_embedded(Path(path).read_bytes())
    assert found.workflow["nodes"][0]["widgets_values"][0] == 80
    assert found.prompt["1"]["inputs"]["width"] == 80
    [again] = base.run("run", path, "--set", "wide=16").out.split()
    with Image.open(again) as picture:
        assert picture.size == (16, 32)


def test_an_output_whose_file_is_gone_is_written_again(base):
    file = base.write("f.json", SAVE)
    [path] = base.run("run", file).out.split()
    Path(path).unlink()
    done = base.run("run", file)
    assert Path(done.out.split()[0]).is_file()
    assert done.said.splitlines()[-1].startswith("ran 1, reused 0 of 1")
    assert base.run("run", file).said.endswith("reused 1 of 1\n")


def test_out_copies_files_also_when_they_are_reused(base, tmp_path):
    file = base.write("f.json", SAVE)
    for folder in ("a", "b", "b"):
        [path] = base.run("run", file, "--out", str(tmp_path / folder)).out.split()
        assert Path(path) == tmp_path / folder / "file_00001_.bin"
        assert Path(path).read_bytes() == bytes(10)
    assert len(list((tmp_path / "b").iterdir())) == 1
    assert base.ran == ["TestSave"]
    result = base.json("run", file, "--out", str(tmp_path / "c"))
    assert result["outputs"][0]["path"] == str(tmp_path / "c" / "file_00001_.bin")


def test_out_never_replaces_a_file_of_the_same_name(base, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file_00001_.bin").write_text("precious")
    [path] = base.run("run", base.write("f.json", SAVE), "--out", str(tmp_path / "out")).out.split()
    assert Path(path).read_bytes() == bytes(10)
    assert (tmp_path / "out" / "file_00001_.bin").read_text() == "precious"


def test_out_that_cannot_be_written_ends_with_4(base, tmp_path):
    (tmp_path / "file").touch()
    done = base.run("run", base.write("f.json", SAVE), "--out", str(tmp_path / "file"), code=4)
    assert "--out" in done.said


def test_a_failed_node_ends_with_1_and_leaves_the_other_outputs(base):
    graph = {
        "1": {"class_type": "TestNumber", "inputs": {"value": 1}},
        "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0]}},
        "3": {"class_type": "TestFail", "inputs": {"value": ["1", 0]}, "_meta": {"title": "Doomed"}},
    }
    file = base.write("g.json", graph)
    done = base.run("run", file, code=1)
    assert done.out == "sum: 1\n"
    assert "Doomed (node 3) failed: cannot show 1" in done.said
    result = base.json("run", file, code=1)
    assert result["status"] == "failed"
    assert result["failures"][0]["node"] == "3"
    assert result["failures"][0]["exception_type"] == "RuntimeError"
    assert "Traceback" in base.run("run", file, "--debug", code=1).said


def test_every_problem_of_an_unsound_workflow_is_listed_and_nothing_runs(base):
    graph = {
        "1": {"class_type": "TestNumbr", "inputs": {"value": 1}},
        "2": {"class_type": "TestAdd", "inputs": {"a": ["1", 0]}},
        "3": {"class_type": "TestShow", "inputs": {"value": ["2", 0]}},
        "4": {"class_type": "TestNumber", "inputs": {"value": 999}},
        "5": {"class_type": "TestShow", "inputs": {"value": ["4", 0]}},
    }
    file = base.write("g.json", graph)
    done = base.run("run", file, code=3)
    for said in ("TestNumber", 'input "b"', "999", "hint"):
        assert said in done.said
    result = base.json("run", file, code=3)
    assert {(one["type"], one["node_id"]) for one in result["problems"]} >= {
        ("missing_node_type", "1"),
        ("required_input_missing", "2"),
        ("value_bigger_than_max", "4"),
    }
    assert base.ran == []


def test_partial_runs_the_sound_outputs(base):
    graph = {
        "1": {"class_type": "TestShow", "inputs": {"value": 1}},
        "2": {"class_type": "TestShow", "inputs": {"value": ["9", 0]}},
    }
    file = base.write("g.json", graph)
    base.run("run", file, code=3)
    done = base.run("run", file, "--partial")
    assert done.out == "sum: 1\n"
    assert "node 2" in done.said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "valeu=3"], "label"),
        (["--set", "label"], "expected NAME=VALUE"),
        (["--set", "=3"], "expected NAME=VALUE"),
        (["--set", "1.value=many"], "many"),
        (["--set", "value=3"], "2.value"),
        (["--set", "9.value=3"], "label"),
        (["--speed", "3"], "--speed: there is no such option"),
    ],
)
def test_a_wrong_value_ends_with_2_and_says_what_there_is(base, sum_file, arguments, said):
    done = base.run("run", sum_file, *arguments, code=2)
    assert said in done.said
    assert base.ran == []


def test_an_unknown_name_lists_the_names_with_their_types(base, sum_file):
    done = base.run("run", sum_file, "--set", "lable=x", code=2)
    assert "Did you mean label" in done.said
    assert any(line.split() == ["label", "STRING", "sum"] for line in done.said.splitlines())


def test_a_value_out_of_range_is_a_problem_of_the_workflow(base, sum_file):
    done = base.run("run", sum_file, "--set", "1.value=101", code=3)
    assert "100" in done.said


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("broken.json", '{"1": {', 3),
        ("empty.json", "", 3),
        ("list.json", "[1, 2]", 3),
        ("other.json", '{"nodes": {}, "edges": []}', 3),
        ("binary.json", b"\xff\xfe\x00\x01", 3),
        ("truncated.png", b"\x89PNG\r\n\x1a\n\x00\x00", 3),
    ],
)
def test_a_file_that_is_no_workflow_ends_with_3(base, name, content, code):
    file = base.write(name, content)
    done = base.run("run", file, code=code)
    assert done.said.strip()
    assert base.json("run", file, code=code)["code"] == code


def test_a_picture_without_a_workflow_ends_with_3(base):
    Image.new("RGB", (4, 4)).save(base.folder / "plain.png")
    assert "carries no workflow" in base.run("run", str(base.folder / "plain.png"), code=3).said


def test_a_missing_file_ends_with_4_and_names_what_is_near(base):
    assert "text_to_image" in base.run("run", "text_to_imag", code=4).said
    assert base.json("run", "nothing/here.json", code=4)["code"] == 4
    base.run("run", str(base.folder), code=4)


def test_a_base_directory_that_is_not_there_ends_with_4(base, sum_file):
    assert "there is no folder" in base.run("run", sum_file, "--base-directory", "/nowhere", code=4).said


def test_a_broken_pack_is_named_when_a_node_is_missing(base):
    base.write("custom_nodes/broken.py", "import nothing_of_this_name\n")
    file = base.write("g.json", {"1": {"class_type": "FromBrokenPack", "inputs": {}}})
    assert "nothing_of_this_name" in base.run("run", file, code=3).said
    base.run("run", base.write("s.json", {"1": {"class_type": "TestShow", "inputs": {"value": 1}}}))


def test_a_full_disk_fails_the_saving_node_and_leaves_no_half_file(base):
    limit = 200_000  # bytes a file may have: more than the catalogue and the cache need
    file = base.write("f.json", SAVE)
    base.run("validate", file)

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = base.run("run", file, "--set", f"length={limit + 1}", code=1, preexec_fn=full)
    assert "The disk is full" in done.said
    assert [path for path in (base.folder / "output").rglob("*") if path.is_file()] == []
    assert base.half_files() == []
    [path] = base.run("run", file, "--set", f"length={limit + 1}").out.split()
    assert Path(path).stat().st_size == limit + 1


def test_a_disk_too_full_for_the_cache_does_not_stop_the_run(base, sum_file):
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))

    assert base.run("run", sum_file, preexec_fn=full).out == "sum: 5\n"
    assert base.half_files() == []
    assert base.run("run", sum_file).out == "sum: 5\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_pictures_that_are_none_fail_their_node_with_a_clear_message(base):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    base.write(
        "input/huge.png", b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )
    base.write("input/text.png", "dear diary")
    graph = {}
    for name in ("huge", "text"):
        graph[name] = {"class_type": "LoadImage", "inputs": {"image": f"{name}.png"}}
        graph[f"show {name}"] = {"class_type": "PreviewImage", "inputs": {"images": [name, 0]}}
    failures = base.json("run", base.write("g.json", graph), code=1)["failures"]
    messages = {one["node"]: one["message"] for one in failures}
    assert "at most 89,478,485 pixels" in messages["huge"]
    assert "is not a picture" in messages["text"]


def test_on_a_terminal_bars_are_drawn_and_taken_away(base):
    graph = {
        "1": {"class_type": "TestWait", "inputs": {"value": 5, "seconds": 2.0}},
        "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0]}},
    }
    ours, theirs = pty.openpty()
    command = base.command("run", base.write("g.json", graph))
    environment = base.environment(TERM="xterm", COLUMNS="80")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    drawn = b""
    while True:
        try:
            drawn += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert (process.returncode, out) == (0, b"sum: 5\n")
    assert b"/200" in drawn
    assert drawn.rstrip().endswith(b"ran 2, reused 0 of 2")


def test_ctrl_c_ends_with_130_keeps_what_was_finished_and_leaves_nothing_half(base):
    graph = {
        "1": {"class_type": "TestNumber", "inputs": {"value": 5}},
        "2": {"class_type": "TestWait", "inputs": {"value": ["1", 0], "seconds": 60.0}},
        "3": {"class_type": "TestShow", "inputs": {"value": ["2", 0]}},
    }
    file = base.write("g.json", graph)
    base.run("validate", file)
    done = base.interrupted("run", file, when=base.folder / "ran.txt")
    assert "Interrupted" in done.said
    assert "Traceback" not in done.said
    assert base.half_files() == []
    assert base.ran
    again = base.run("run", file, "--set", "seconds=0.01")
    assert again.out == "sum: 5\n"
    assert "TestNumber" not in base.ran


def test_a_request_to_end_is_answered_as_ctrl_c_is(base):
    graph = {
        "1": {"class_type": "TestWait", "inputs": {"value": 1}},
        "2": {"class_type": "TestShow", "inputs": {"value": ["1", 0]}},
    }
    file = base.write("g.json", graph)
    base.run("validate", file)
    base.interrupted("run", file, when=base.folder / "ran.txt", by=signal.SIGTERM)


def test_a_reader_that_goes_away_is_no_error(base, sum_file):
    base.run("nodes")
    command = " ".join([*base.command("nodes"), "2>err.txt | head -1"])
    done = subprocess.run(command, shell=True, capture_output=True, env=base.environment(), cwd=base.folder, check=True)
    assert done.stdout
    assert (base.folder / "err.txt").read_text() == ""
