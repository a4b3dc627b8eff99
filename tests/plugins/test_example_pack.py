"""custom_nodes/example_pack in a real server: what it documents happens."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.harness import command, environ, new_base, served, until

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "custom_nodes" / "example_pack"
WORKFLOW = PACK / "example_workflows" / "palette.json"
COLORS = "#ff0000 #0000ff"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Path:
    """A base directory with nothing but a copy of the pack and a file to choose."""
    folder = new_base(tmp_path_factory.mktemp("example"), core_catalogue)
    shutil.copytree(PACK, folder / "custom_nodes" / PACK.name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "input").mkdir()
    (folder / "input" / "five.png").write_bytes(b"12345")
    return folder


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[Any]:
    with served(base) as found:
        yield found


@pytest.fixture(scope="module")
def info(server: Any) -> dict[str, Any]:
    return dict(server.get("/object_info"))


def shown(server: Any, prompt: dict[str, Any]) -> Any:
    """What the nodes of a graph showed."""
    entry = server.run(prompt)
    assert entry["status"]["status_str"] == "success", entry["status"]
    return entry["outputs"]


def show(value: Any) -> dict[str, Any]:
    return {"class_type": "ExampleShow", "inputs": {"text": value}}


async def heard(url: str, prompt: dict[str, Any]) -> list[dict[str, Any]]:
    """The JSON messages of a job, to its end."""
    found = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws?clientId=listener") as socket:
        async with session.post(f"{url}/prompt", json={"prompt": prompt, "client_id": "listener"}) as answer:
            assert answer.status == 200, await answer.text()
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                found.append(json.loads(message.data))
                if found[-1]["type"] in ("execution_success", "execution_error"):
                    break
    return found


def test_the_report_says_that_all_of_it_is_loaded(server: Any, info: dict[str, Any]) -> None:
    [pack] = server.get("/api/v1/packs")["packs"]
    assert (pack["name"], pack["state"], pack["errors"]) == ("example_pack", "loaded", [])
    assert set(pack["nodes"]) == {name for name in info if name.startswith("Example")}
    assert len(pack["nodes"]) == 16


def test_declarations_reach_editors(info: dict[str, Any]) -> None:
    contrast = info["ExampleContrast"]["input"]
    assert contrast["required"]["amount"] == [
        "FLOAT",
        {
            "default": 1.5,
            "min": 0,
            "max": 4,
            "step": 0.05,
            "tooltip": "0 is grey, 1 leaves the picture as it is.",
        },
    ]
    assert contrast["required"]["around"] == [["black", "middle", "mean"], {"default": "middle"}]
    assert list(contrast["optional"]) == ["mask"]
    assert info["ExampleMeasure"]["output_name"] == ["width", "height", "brightness"]
    assert info["ExampleSwitch"]["input"]["required"]["a"][1]["lazy"] is True
    assert info["ExampleSplit"]["output_is_list"] == [True]
    assert info["ExampleJoin"]["is_input_list"] is True
    assert info["ExampleGate"]["output"] == ["*"]
    assert info["ExamplePalette"]["output"] == ["EXAMPLE_PALETTE"]
    options = info["ExamplePalette"]["input"]["required"]["colors"][1]
    assert options["widgetType"] == "example_pack.swatches"
    assert options["widgetHeight"] == 56


def test_the_workflow_of_the_pack_runs_as_it_was_saved(server: Any) -> None:
    status, answer = server.ask("POST", "/prompt", json.loads(WORKFLOW.read_text()))
    assert status == 200, answer
    entry = server.entry(answer["prompt_id"])
    assert entry["status"]["status_str"] == "success", entry["status"]
    assert entry["outputs"]["11"] == {"text": ["slowly but side by side"]}
    assert entry["outputs"]["7"]["images"][0]["filename"] == "example_pack_00001_.png"
    assert "14" not in entry["outputs"]


def test_lists_are_mapped_and_a_closed_gate_lets_nothing_through(server: Any) -> None:
    split = {"class_type": "ExampleSplit", "inputs": {"text": "a,b", "separator": ","}}
    graph = {"1": split, "2": show(["1", 0]), "3": show(["4", 0])}
    graph["4"] = {"class_type": "ExampleGate", "inputs": {"value": ["1", 0], "open": False}}
    assert shown(server, graph) == {"2": {"text": ["a", "b"]}}


def test_a_branch_that_is_not_taken_does_not_run(server: Any) -> None:
    graph = {
        "1": {"class_type": "ExampleToday", "inputs": {"pattern": "%Y"}},
        "2": {"class_type": "ExampleSlowly", "inputs": {"text": "never", "seconds": 60, "steps": 1}},
        "3": {"class_type": "ExampleSwitch", "inputs": {"first": True, "a": ["1", 0], "b": ["2", 0]}},
        "4": show(["3", 0]),
    }
    assert len(shown(server, graph)["4"]["text"][0]) == 4


def test_a_class_says_what_is_wrong_with_its_inputs_before_a_job_is_accepted(server: Any) -> None:
    prompt = {"1": {"class_type": "ExampleToday", "inputs": {"pattern": "now"}}, "2": show(["1", 0])}
    status, answer = server.ask("POST", "/prompt", {"prompt": prompt})
    assert status == 400
    assert "'now' has no % in it" in json.dumps(answer["node_errors"]["1"])


def test_a_files_content_is_part_of_what_a_node_reads(server: Any, base: Path) -> None:
    preview = {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}
    graph = {"1": {"class_type": "ExampleFileSize", "inputs": {"file": "five.png"}}, "2": preview}
    assert shown(server, graph)["2"]["text"] == ["5"]
    (base / "input" / "five.png").write_bytes(b"123456")
    assert shown(server, graph)["2"]["text"] == ["6"]


def test_progress_and_messages_of_a_slow_node_reach_its_client(server: Any) -> None:
    slowly = {"class_type": "ExampleSlowly", "inputs": {"text": "heard", "seconds": 0.3, "steps": 3}}
    messages = asyncio.run(heard(server.url, {"5": slowly, "6": show(["5", 0])}))
    told = {message["type"]: message["data"] for message in messages}
    assert told["example_pack.slept"] == {"node": "5", "seconds": 0.3}
    assert (told["progress"]["value"], told["progress"]["max"]) == (3, 3)


def test_a_slow_node_ends_when_its_job_is_cancelled(server: Any) -> None:
    slowly = {"class_type": "ExampleSlowly", "inputs": {"text": "cancelled", "seconds": 60, "steps": 600}}
    job = server.post({"5": slowly, "6": show(["5", 0])})
    until(lambda: server.get("/queue")["queue_running"], "the job to run", server.log)
    assert server.ask("POST", "/interrupt", {})[0] == 200
    assert server.entry(job)["status"]["messages"][-1][0] == "execution_interrupted"


def test_routes_answer_with_and_without_api_before_them(server: Any) -> None:
    for prefix in ("", "/api"):
        assert server.get(f"{prefix}/example_pack/palettes") == ["beach", "forest", "print"]
        assert server.get(f"{prefix}/example_pack/palettes/print")["colors"].startswith("#000000")
    assert server.ask("GET", "/example_pack/palettes/none") == (404, {"error": "no such palette"})
    assert server.ask("POST", "/example_pack/palettes", {})[0] in (404, 405)


def test_the_module_for_our_editor_is_served(server: Any) -> None:
    [pack] = server.get("/api/v1/packs")["packs"]
    status, text = server.ask("GET", pack["editor_module"])
    assert status == 200
    assert b'editor.widget("example_pack.swatches"' in text


def test_a_palette_is_kept_over_a_restart(server: Any, base: Path) -> None:
    """In processes of their own: the palette is read from disk, by the module of the pack."""
    graph = {
        "1": {"class_type": "ExamplePalette", "inputs": {"colors": COLORS}},
        "2": {"class_type": "ExampleSwatches", "inputs": {"palette": ["1", 0], "size": 2}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    (base / "kept.json").write_text(json.dumps(graph))
    found = []
    for size in (2, 3):
        told = command(
            "run", str(base / "kept.json"), "--set", f"2.size={size}", "--json", "--base-directory", str(base)
        )
        done = subprocess.run(told, capture_output=True, check=False, cwd=ROOT, env=environ())
        assert done.returncode == 0, done.stderr
        found.append({node: one["status"] for node, one in json.loads(done.stdout)["nodes"].items()})
    assert found[0]["1"] == "ran"
    assert found[1] == {"1": "reused", "2": "ran", "3": "ran"}
