# ruff: noqa: PT018 - facts that belong together
"""What loads, what does not, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import served
from tests.plugins.compat.conftest import with_packs


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Iterator[Any]:
    """A server of this module's own, as a pack is changed here."""
    with served(with_packs(tmp_path_factory.mktemp("loading"), core_catalogue)) as found:
        yield found


def report(server: Any) -> dict[str, Any]:
    return {one["name"]: one for one in server.get("/api/v1/packs")["packs"]}


def test_the_report_names_every_pack_and_what_is_wrong_with_it(server: Any) -> None:
    packs = report(server)
    assert {name: one["state"] for name, one in packs.items()} == {
        "breaks": "failed",
        "early": "loaded",
        "exits": "failed",
        "kills": "failed",
        "mixed": "loaded",
        "off": "disabled",
        "one_file": "loaded",
        "reaches": "loaded",
        "rules-pack.v1": "loaded",
        "server-pack": "loaded",
        "switched_off": "disabled",
        "tricks": "loaded",
        "v3more": "loaded",
        "v3pack": "loaded",
    }
    assert "a_module_that_nobody_has" in packs["breaks"]["errors"][0]
    assert "SystemExit: 4" in packs["exits"]["errors"][0]
    assert "ended the process" in packs["kills"]["errors"][0]
    assert packs["one_file"]["nodes"] == ["OneFile"]
    assert packs["rules-pack.v1"]["seconds"] > 0


def test_nodes_that_cannot_be_declared_are_left_out_alone(server: Any) -> None:
    errors = "\n".join(report(server)["rules-pack.v1"]["errors"])
    for name, reason in (
        ("RuleRaises", "no such folder"),
        ("RuleLeaves", "SystemExit"),
        ("RuleNoFunction", "FUNCTION"),
    ):
        assert f"node {name} is left out" in errors and reason in errors
    assert not server.get("/object_info/RuleRaises")
    assert server.get("/object_info/RuleShow")


def test_a_note_without_a_function_is_a_node_that_no_graph_runs(server: Any) -> None:
    assert server.get("/object_info/RuleNote")["RuleNote"]["category"] == "rules"
    shown = server.run(
        {"1": {"class_type": "RuleNote", "inputs": {"notes": "x"}}, "2": {"class_type": "RuleShow", "inputs": {}}}
    )
    assert shown["status"]["status_str"] == "success" and set(shown["outputs"]) == {"2"}


def test_built_in_nodes_stay_and_of_two_packs_the_later_has_a_name(server: Any) -> None:
    packs = report(server)
    assert "KSampler is left out" in "\n".join(packs["rules-pack.v1"]["errors"])
    assert "Twice replaces that of custom_nodes.early" in "\n".join(packs["rules-pack.v1"]["errors"])
    assert "Twice is replaced by that of custom_nodes.rules-pack_x_v1" in "\n".join(packs["early"]["errors"])
    assert server.get("/object_info/KSampler")["KSampler"]["python_module"] == "nodes.sampling"
    assert server.get("/object_info/Twice")["Twice"]["python_module"] == "custom_nodes.rules-pack_x_v1"


def test_prestartup_scripts_run_before_any_pack(server: Any) -> None:
    shown = server.run({"1": {"class_type": "Early", "inputs": {}}})["outputs"]["1"]["was"]
    assert shown == [str(server.base / "input")]


def test_a_packs_files_for_the_editor_are_listed_and_served(server: Any) -> None:
    assert "/extensions/rules-pack.v1/tool.js" in server.get("/extensions")
    status, script = server.ask("GET", "/extensions/rules-pack.v1/tool.js")
    assert status == 200 and b"scripts/app.js" in script
    assert server.ask("GET", "/api/extensions/rules-pack.v1/readme.txt")[0] == 200
    assert server.ask("GET", "/extensions/rules-pack.v1/../__init__.py")[0] == 404
    assert server.ask("GET", "/extensions/rules-pack.v1/%2e%2e/__init__.py")[0] == 404


def test_a_pack_that_changes_is_read_anew_without_a_restart(server: Any) -> None:
    pack = server.base / "custom_nodes" / "one_file.py"
    prompt = {"1": {"class_type": "OneFile", "inputs": {"n": 4}}}
    assert server.run(prompt)["outputs"]["1"]["n"] == [8]
    pack.write_text(
        pack.read_text().replace("n * 2", "n * 3").replace('"OneFile": OneFile', '"OneFile": OneFile, "Two": OneFile')
    )
    status, found = server.ask("POST", "/api/v1/packs/reload", b"")
    assert status == 200, found
    assert next(one for one in found["packs"] if one["name"] == "one_file")["nodes"] == ["OneFile", "Two"]
    assert server.get("/object_info/Two")
    assert server.run(prompt)["outputs"]["1"]["n"] == [12]


def test_a_graph_runs_without_a_server_too(server: Any) -> None:
    from engine.__main__ import make_app

    app = make_app(server.base)
    assert "RuleShow" in app.load_library().catalogue
