"""Packs that do to the process, and to the names in it, what packs of the field do: each works, and so do the others.

They are loaded once, in one process of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.processes import ServerFacts, told_environment

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SERVER = ServerFacts(address="0.0.0.0", port=4321, max_upload_size=5_000)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("beside")
    shutil.copytree(HERE / "packs", base / "custom_nodes", ignore=shutil.ignore_patterns("__pycache__"))
    return base


@pytest.fixture(scope="module")
def facts(base: Path) -> Any:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE / "path")])}
    done = subprocess.run(
        [sys.executable, "-P", str(HERE / "child.py"), str(base)],
        env=environment | told_environment(SERVER),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 1, "a child that a pack forked went on"
    return json.loads(lines[0])


def noted(facts: Any, pack: str) -> str:
    return "\n".join(facts["notes"][pack])


def test_modules_that_a_pack_takes_out_or_replaces_are_put_back(facts: Any) -> None:
    assert facts["engine"]
    assert facts["minidom"]
    assert facts["ran"]["CleanRuns"] == ["[1]"]
    assert "sys.modules" in noted(facts, "a_cleans_up")
    assert "engine.datatypes.sockets" in noted(facts, "a_cleans_up")


def test_a_module_whose_import_failed_is_not_put_back(facts: Any) -> None:
    assert not facts["failed half"]


def test_each_of_two_packs_gets_its_own_module_of_a_name_that_both_have(facts: Any) -> None:
    assert facts["ran"]["FirstWords"] == ["first first first first first"]
    assert facts["ran"]["SecondWords"] == ["second second second second second"]


def test_a_pack_finds_a_module_of_another_that_it_has_none_of_its_own_of(facts: Any) -> None:
    assert facts["ran"]["ThirdWords"] == ["first"]


def test_unknown_names_of_the_field_can_be_imported_and_fail_by_name_when_used(facts: Any) -> None:
    assert facts["nodes"]["unknown"] == ["UnknownUses", "UnknownSub", "Guarded"]
    assert "pack unknown uses comfy.unheard.helper, which Safelight does not have" in facts["ran"]["UnknownUses"]
    assert "nodes.UnheardNode, which Safelight does not have" in facts["ran"]["UnknownSub"]


def test_who_is_ready_for_a_name_not_to_be_there_gets_an_honest_answer(facts: Any) -> None:
    assert facts["ran"]["Guarded"] == [[None, False, False, False, 7]]


def test_the_report_says_which_names_were_placeholders(facts: Any) -> None:
    [told] = [note for note in facts["notes"]["unknown"] if "names that Safelight does not have" in note]
    for name in (
        "comfy_extras.nodes_unheard",
        "comfy.unheard.Thing",
        "comfy.unheard.helper",
        "comfy.utils.no_such_function",
        "nodes.UnheardNode",
        "comfy.utils.never_there",
    ):
        assert name in told
    for name in ("unheard_too", "nodes_maybe", "unheard_three", "VHSLoadFormats"):
        assert name not in told


def test_what_a_pack_does_to_the_process_is_told_and_undone(facts: Any) -> None:
    told = noted(facts, "patches")
    for what in (
        "torch.nn.functional.gelu",
        "torch.nn.Linear.forward",
        "the working folder",
        "torch.float64",
        "stays for ever",
        "forked the process 2 times",
    ):
        assert what in told or what in told.replace("torch.nn.modules.linear.Linear", "torch.nn.Linear"), told
    assert facts["gelu"]
    assert facts["folder"]
    assert facts["default type"] == "torch.float32"
    assert facts["ran"]["Moves"] == [["3"], True]
    assert facts["ran"]["ForksAndReturns"] == ["once"]
    assert not [pack for pack in ("b_first", "c_second", "waits", "adds") if facts["notes"][pack]]


def test_what_a_node_replaces_when_it_runs_can_be_put_back(facts: Any) -> None:
    assert facts["ran"]["PatchesLater"] == ["patched"]
    assert facts["put back later"] == [{"torch.nn.functional.relu": "patches"}, True]


def test_the_error_of_an_import_says_what_to_install(facts: Any) -> None:
    assert "pip install kornia-that-nobody-has" in facts["errors"]["wants"]
    if facts["errors"]["wants_image"]:
        assert "pip install 'safelight[packs]'" in facts["errors"]["wants_image"]
        assert "scikit-image" in facts["errors"]["wants_image"]


def test_a_node_whose_class_raised_is_asked_again(facts: Any, base: Path) -> None:
    assert not facts["errors"]["waits"]
    assert "node Waits is left out" in dict(map(tuple, facts["problems"]))["waits"]
    assert "Waits" not in facts["waiting before"]
    assert facts["waiting after"] == ["Waits"]
    assert facts["choices"] == ["a.txt"]
    assert facts["version"]
    assert facts["problems after"] == []


def test_what_common_packs_take_is_there(facts: Any, base: Path) -> None:
    assert not facts["errors"]["adds"]
    [added] = facts["added"]
    root = str(base / ".safelight" / "core")
    assert added == {
        "version": "0.3.64",
        "listen": ["0.0.0.0", 4321, "0.0.0.0", 4321],
        "parsed": 9,
        "upload": [5_000, 5_000],
        "video": True,
        "components": 24,
        "executing": None,
        "places": [root],
    }
    assert (base / ".safelight" / "core" / "written_by_a_pack.txt").is_file()
    assert not list((ROOT / "engine").rglob("written_by_a_pack.txt"))


def test_the_extra_is_what_the_advice_names() -> None:
    import tomllib

    from engine.plugins.missing import COMMON

    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["packs"]
    assert {one.partition(">")[0] for one in wanted} == COMMON
