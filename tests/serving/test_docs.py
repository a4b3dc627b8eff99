"""The examples of docs/server.md, as they stand there, against a server with the bundled model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
HERE = "http://127.0.0.1:8188"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader stands who tries the examples: beside our workflows."""
    shutil.copytree(ROOT / "workflows", tmp_path / "reader" / "workflows")
    return tmp_path / "reader"


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_programs_of_the_page_draw_a_picture_and_tell_of_progress(server, folder):
    url = server.url
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(programs) == 2
    said = [run([sys.executable, "-c", program.replace(HERE, url)], folder) for program in reversed(programs)]
    assert "20 of 20" in said[0]
    assert (folder / "text_to_image_00001_.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_commands_of_the_page_work(server, folder):
    commands = [line for line in PAGE.splitlines() if line.startswith("curl ")]
    assert len(commands) == 5
    shell = ["sh", "-c"]
    said = [
        run([*shell, line.replace("curl", "curl -sS --fail", 1).replace(HERE, server.url)], folder) for line in commands
    ]
    assert json.loads(said[0])["node_errors"] == {}
    assert "KSampler" in {
        node["class_type"] for node in json.loads((folder / "prompt.json").read_text())["prompt"].values()
    }
    assert json.loads(said[3])["status"] == "ok"
    assert "jobs" in json.loads(said[4])


def test_every_option_of_the_command_is_on_the_page_and_the_other_way_round():
    from engine.cli.parser import make_parser

    (commands,) = [action for action in make_parser()._actions if action.choices and "serve" in action.choices]
    known = {name for action in commands.choices["serve"]._actions for name in action.option_strings}
    known -= {"-h", "--help", "--debug", "--base-directory"}
    (table,) = re.findall(r"## Options\n(.*?)\n## ", PAGE, re.DOTALL)
    assert set(re.findall(r"--[a-z][a-z-]+", table)) == known


def test_every_route_of_the_page_is_there(server):
    routes = server.get("/openapi.json")["paths"]
    named = set(re.findall(r"`(?:GET|POST) (/[a-z0-9/._]+)", PAGE)) | set(
        re.findall(r"`(/(?:api/v1|history)[a-z0-9/]*)`", PAGE)
    )
    assert len(named) > 10
    documented = {*routes, *(path.removeprefix("/api") for path in routes), "/openapi.json", "/api/v1/docs"}
    assert sorted(named - documented) == []
