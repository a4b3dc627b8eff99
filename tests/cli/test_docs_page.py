"""The examples of docs/command_line.md, as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from engine.cli import exits
from engine.cli.parser import make_parser, run_options

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
EDIT = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "edit"}},
}


@pytest.fixture
def reader(here):
    """Where a reader stands who tries the examples."""
    here.write("workflows/edit.json", EDIT)
    Image.new("RGB", (8, 8), "red").save(here.folder / "photo.png")
    return here


def test_the_commands_of_the_page_do_what_it_says(reader):
    local = [one for one in COMMANDS if "--server" not in one and "--watch" not in one]
    assert len(local) == 9
    done = {one: reader.run(*shlex.split(one)[1:]).out for one in local if one.startswith("safelight ")}
    assert len(done) == 8
    pictures = [name for told in done.values() for name in told.split() if name.endswith("_.png")]
    assert all(Path(name).is_file() for name in pictures)
    assert [Path(name).name for name in pictures if "sweep" in name] == ["text_to_image_sweep_00001_.png"]
    assert (reader.folder / "apples.webp").is_file()
    lines = [json.loads(line) for line in done[local[-1]].splitlines()]
    assert lines[-1]["summary"].startswith("reused") or lines[-1]["status"] == "done"
    [piped] = [one for one in local if one not in done]
    safelight = f'safelight() {{ "{sys.executable}" -m engine "$@"; }}; '
    again = subprocess.run(
        ["sh", "-c", safelight + piped],
        cwd=reader.folder,
        env=reader.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stderr.endswith("reused 3 of 3\n")


def test_every_option_of_the_page_is_one_of_run_and_the_other_way_round():
    known = {name for name in run_options(make_parser())._option_string_actions if name.startswith("--")}
    named = set(re.findall(r"`(--[a-z-]+)", PAGE)) | {
        word.partition("=")[0] for one in COMMANDS for word in one.split() if word.startswith("--")
    }
    said_elsewhere = {"--help", "--debug", "--base-directory", "--no-cache", "--partial", "--quiet", "--only"}
    assert known - said_elsewhere <= named
    parameters = {"--prompt", "--seed", "--steps", "--image", "--name", "--no-name"}
    assert named - known <= parameters


def test_every_exit_code_and_event_is_on_the_page():
    codes = {value for name, value in vars(exits).items() if isinstance(value, int)}
    (table,) = re.findall(r"\| exit code \|.*", PAGE, re.DOTALL)
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes
    source = "".join(
        (ROOT / "engine" / "cli" / f"{name}.py").read_text() for name in ("json_lines", "reports", "watch")
    )
    written = set(re.findall(r"(?:_write|\.write|told)\(\s*\"([a-z]+)\"", source)) | {"node"}
    (events,) = re.findall(r"\| `event` \|.*?\n\n", PAGE, re.DOTALL)
    assert written <= set(re.findall(r"`([a-z]+)`", events))
