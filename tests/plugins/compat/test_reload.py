# ruff: noqa: PT018 - facts that belong together
"""Packs under development, and packs that are installed: what is read anew, what is void, and what goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import environ, new_base, served, until

INIT = """
from .helper import factor
from .parts.deep import note


class Scale:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"n": ("INT", {"default": 1})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self, n):
        note(f"scale={n}")
        return {"ui": {"n": [n * factor()]}, "result": (n * factor(),)}


NODE_CLASS_MAPPINGS = {"NAME": Scale}
"""

HELPER = "def factor():\n    return 2\n"

DEEP = """
import os
import time


def note(what):
    with open(os.environ["TEST_NOTES"], "a") as file:
        file.write(f"{what}\\n")
"""

WAITS = """
import os
import time


class Waits:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"until": ("STRING", {"default": ""})}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True
    NOT_IDEMPOTENT = True

    def go(self, until):
        with open(os.environ["TEST_NOTES"], "a") as file:
            file.write("waits\\n")
        while not os.path.exists(until):
            time.sleep(0.02)
        return {"ui": {"waited": [True]}}


NODE_CLASS_MAPPINGS = {"Waits": Waits}
"""

INSTALLED = """
from safelight_elsewhere.tools import VALUE


class Installed:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True

    def go(self):
        return {"ui": {"value": [VALUE]}}


NODE_CLASS_MAPPINGS = {"Installed": Installed}
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def distribution(folder: Path, name: str, entry: str) -> None:
    """An installed distribution, as far as the metadata tells."""
    facts = folder / f"{name}-1.0.dist-info"
    write(facts, {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"})
    write(facts, {"entry_points.txt": f"[safelight.packs]\n{entry}\n"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Iterator[Any]:
    """A server on two packs of folders, one of a file, and three of installed distributions."""
    base, site = new_base(tmp_path_factory.mktemp("reload"), core_catalogue), tmp_path_factory.mktemp("site")
    for name in ("Edited", "Other"):
        files = {"__init__.py": INIT.replace("NAME", name), "helper.py": HELPER, "parts/deep.py": DEEP}
        write(base / "custom_nodes" / name.lower(), files)
    write(base / "custom_nodes", {"waits.py": WAITS})
    write(site / "safelight_elsewhere", {"__init__.py": "", "tools.py": "VALUE = 'installed'\n", "nodes.py": INSTALLED})
    write(site / "safelight_broken", {"__init__.py": "import a_module_that_nobody_has\n"})
    distribution(site, "elsewhere", "elsewhere = safelight_elsewhere.nodes")
    distribution(site, "broken", "installed_broken = safelight_broken")
    distribution(site, "gone", "installed_gone = safelight_that_is_not_there.nodes")
    with served(base, environment={"PYTHONPATH": f"{site}{os.pathsep}{environ()['PYTHONPATH']}"}) as found:
        found.site = site
        yield found


def report(server: Any) -> dict[str, Any]:
    return {one["name"]: one for one in server.get("/api/v1/packs")["packs"]}


def scaled(server: Any, kind: str, n: int) -> tuple[list[int], int]:
    """What a node shows, and how often it ran for that."""
    before = server.noted().count(f"scale={n}")
    shown = server.run({"1": {"class_type": kind, "inputs": {"n": n}}})["outputs"]["1"]["n"]
    return shown, server.noted().count(f"scale={n}") - before


def reload(server: Any, query: str = "") -> dict[str, Any]:
    status, found = server.ask("POST", f"/api/v1/packs/reload{query}", b"")
    assert status == 200, found
    return {one["name"]: one for one in found["packs"]}


def edit(server: Any, file: str, old: str, new: str) -> None:
    path = server.base / "custom_nodes" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_change_in_a_helper_of_a_pack_voids_its_results_and_no_others(server: Any) -> None:
    assert scaled(server, "Edited", 3) == ([6], 1) and scaled(server, "Other", 4) == ([8], 1)
    assert scaled(server, "Edited", 3) == ([6], 0)
    edit(server, "edited/helper.py", "return 2", "return 20")
    assert reload(server)["edited"]["state"] == "loaded"
    assert scaled(server, "Edited", 3) == ([60], 1)
    assert scaled(server, "Other", 4) == ([8], 0)


def test_a_change_of_comments_voids_nothing(server: Any) -> None:
    scaled(server, "Edited", 5)
    edit(server, "edited/parts/deep.py", "import time", "import time  # of day")
    reload(server)
    assert scaled(server, "Edited", 5)[1] == 0


def test_a_pack_broken_by_an_edit_is_told_and_comes_back_when_it_is_mended(server: Any) -> None:
    edit(server, "edited/helper.py", "def factor():", "def factor(:")
    packs = reload(server)
    assert packs["edited"]["state"] == "failed" and packs["edited"]["nodes"] == []
    assert "helper.py line 1: SyntaxError" in packs["edited"]["errors"][0]
    assert not server.get("/object_info/Edited")
    assert scaled(server, "Other", 6) == ([12], 1)
    edit(server, "edited/helper.py", "def factor(:", "def factor():")
    packs = reload(server)
    assert packs["edited"] == {**packs["edited"], "state": "loaded", "nodes": ["Edited"], "errors": []}
    assert scaled(server, "Edited", 7)[0] == [140]


def test_reading_packs_anew_tries_those_that_failed_for_other_reasons_than_their_files(server: Any) -> None:
    text = "import pathlib\nassert pathlib.Path(__file__).with_name('needed.txt').exists(), 'needed.txt is not there'\n"
    write(server.base / "custom_nodes", {"needs.py": text + WAITS.replace('"Waits": Waits', '"Needs": Waits')})
    assert "needed.txt is not there" in reload(server)["needs"]["errors"][0]
    (server.base / "custom_nodes" / "needed.txt").touch()
    assert reload(server)["needs"]["state"] == "loaded"


def test_packs_may_come_and_go(server: Any) -> None:
    write(server.base / "custom_nodes", {"new.py": WAITS.replace('"Waits": Waits', '"NewOne": Waits')})
    assert reload(server)["new"]["nodes"] == ["NewOne"] and server.get("/object_info/NewOne")
    (server.base / "custom_nodes" / "new.py").unlink()
    assert "new" not in reload(server) and not server.get("/object_info/NewOne")


def test_while_a_job_runs_packs_are_read_anew_only_by_force(server: Any) -> None:
    sign = server.base / "go on"
    job = server.post({"1": {"class_type": "Waits", "inputs": {"until": str(sign)}}})
    until(lambda: "waits" in server.noted(), "the job to run", server.log)
    status, found = server.ask("POST", "/api/v1/packs/reload", b"")
    assert status == 409 and found["error"]["type"] == "jobs_run"
    edit(server, "edited/helper.py", "return 20", "return 30")
    sign.touch()
    assert reload(server, "?force=true")["edited"]["state"] == "loaded"
    assert server.entry(job)["status"]["status_str"] in ("success", "error")
    assert scaled(server, "Edited", 8) == ([240], 1)


def test_installed_distributions_with_an_entry_point_are_packs(server: Any) -> None:
    packs = report(server)
    assert packs["elsewhere"]["nodes"] == ["Installed"] and packs["elsewhere"]["module"] == "safelight_elsewhere.nodes"
    assert server.run({"1": {"class_type": "Installed", "inputs": {}}})["outputs"]["1"] == {"value": ["installed"]}
    assert packs["installed_broken"]["state"] == "failed"
    assert "a_module_that_nobody_has" in packs["installed_broken"]["errors"][0]
    assert packs["installed_gone"]["state"] == "failed"
    assert "safelight_that_is_not_there.nodes" in packs["installed_gone"]["errors"][0]


def test_an_installed_pack_that_changes_is_read_anew(server: Any) -> None:
    (server.site / "safelight_elsewhere" / "tools.py").write_text("VALUE = 'changed'\n")
    reload(server)
    assert server.run({"1": {"class_type": "Installed", "inputs": {}}})["outputs"]["1"] == {"value": ["changed"]}
