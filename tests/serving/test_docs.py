"""The examples of docs/server.md, docs/workflow_api.md and the README, as they stand there, against a server with the bundled model."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from PIL import Image

import engine
from engine.client import Client
from tests.cli.conftest import Base

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
API_PAGE = (ROOT / "docs" / "workflow_api.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
HERE = "http://127.0.0.1:8188"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader stands who tries the examples: beside our workflows."""
    shutil.copytree(ROOT / "workflows", tmp_path / "reader" / "workflows")
    return tmp_path / "reader"


def give_seed(workflow: Path, seed: int) -> None:
    saved = json.loads(workflow.read_text())
    sampler = next(node for node in saved["nodes"] if node["type"] == "KSampler")
    sampler["widgets_values"][0] = seed
    if "widgets_values_named" in sampler:
        sampler["widgets_values_named"]["seed"] = seed
    workflow.write_text(json.dumps(saved))


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
    give_seed(folder / "workflows" / "text_to_image.json", 20_471)  # that no other test on this server has drawn
    said = [run([sys.executable, "-c", program.replace(HERE, url)], folder) for program in reversed(programs)]
    assert "20 of 20" in said[0]
    (picture,) = folder.glob("text_to_image_*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


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


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_ways_of_the_readme_to_call_a_workflow_are_one(server, folder):
    (table,) = re.findall(r"## A saved workflow is a function\n(.*?)\n## ", README, re.DOTALL)
    ways = re.findall(r"`((?:safelight run|curl|engine\.).*?)`", table)
    assert [way.split()[0].partition("(")[0] for way in ways] == [
        "safelight",
        "curl",
        "engine.Workflow.load",
        "engine.client.Client",
    ]
    base = Base(server.base)
    there = json.loads(
        run(["sh", "-c", ways[1].replace("curl", "curl -sS --fail", 1).replace(HERE, server.url)], folder)
    )
    seen = (there["values"]["prompt"], there["values"]["seed"])
    assert seen == ("red apple", 1)
    with Client(server.url) as client:
        again = client.result(there["job_id"])
    printed = base.run(*shlex.split(ways[0].partition("`")[0])[1:], apart=False).out.strip()
    with mock.patch.dict(os.environ, {"SAFELIGHT_BASE": str(server.base)}):
        picture = eval(ways[2], {"engine": engine})
    with Image.open(printed) as opened:
        assert opened.tobytes() == picture.tobytes() == again.images[0].tobytes()


def test_what_the_page_of_the_api_declares_is_what_the_workflow_takes_and_gives(server):
    (declared,) = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", API_PAGE, re.DOTALL) if '"extra"' in block
    ]
    workflow = json.loads((ROOT / "workflows" / "text_to_image.json").read_text())
    workflow["extra"]["safelight"] = declared["extra"]["safelight"]
    (server.base / "workflows").mkdir(exist_ok=True)
    (server.base / "workflows" / "declared.json").write_text(json.dumps(workflow))
    told = server.get("/api/v1/workflows/declared")
    assert told["doc"] == "An emoji of whatever is named."
    assert told["parameters"]["required"] == ["subject"]
    assert list(told["parameters"]["properties"]) == ["subject", "steps", "sampler"]
    assert [one["name"] for one in told["outputs"]] == ["emoji"]
    path = "/api/v1/workflows/declared/run"
    status, refused = server.ask("POST", path, {"steps": 31, "sampler": "heun"})
    assert status == 422
    wrong = [one["parameter"] for one in refused["error"]["extra_info"]["problems"]]
    assert sorted(wrong) == ["sampler", "steps", "subject"]
    status, made = server.ask("POST", path, {"subject": "green frog"})
    assert (status, made["values"]) == (200, {"subject": "green frog", "steps": 8, "sampler": "dpmpp_2m"})
    assert list(made["outputs"]) == ["emoji"]


def test_pages_name_files_and_headings_that_there_are():
    missing = []
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            name, _, heading = link.partition("#")
            if "://" in link or link.startswith("mailto:"):
                continue
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (heading and target.suffix == ".md" and heading not in headings(target)):
                missing.append(f"{page.name}: {link}")
    assert missing == []


def headings(page: Path) -> set[str]:
    """What a link may name in a page."""
    found = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in found}
