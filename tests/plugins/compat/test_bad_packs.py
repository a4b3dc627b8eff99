# ruff: noqa: PT018 - facts that belong together
"""Packs that are broken, rude or hostile: the report names each, and the rest goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness import new_base, served, until
from tests.plugins.compat.conftest import HERE

CORE = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"1": {"class_type": kind, "inputs": inputs}}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Iterator[Any]:
    """A server on a base directory full of bad packs. It waits 15 seconds for each import: on a busy machine too, only the
    one that hangs takes longer.
    """
    base = new_base(tmp_path_factory.mktemp("bad"), core_catalogue, "pack_import_seconds = 15\n")
    packs = base / "custom_nodes"
    shutil.copytree(HERE / "bad_packs", packs, ignore=shutil.ignore_patterns("__pycache__"))
    (packs / "half_written.py").write_text('NODE_CLASS_MAPPINGS = {\n    "Half":\n')
    (packs / "no_utf8.py").write_bytes(b'NAME = "caf\xe9"\nNODE_CLASS_MAPPINGS = {}\n')
    (packs / "nul.py").write_bytes(b"NODE_CLASS_MAPPINGS = {}\n\0")
    (packs / "hard_to_parse.py").write_text("X = " + "(" * 5000 + "1" + ")" * 5000 + "\n")
    (packs / "broken_link").symlink_to(base / "nowhere")
    (packs / "broken_link.py").symlink_to(base / "nowhere.py")
    (packs / "two_in_one.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    (packs / "a folder without a module").mkdir()
    (packs / "read me.txt").write_text("no pack")
    no_utf8 = Path(os.fsdecode(os.fsencode(packs) + b"/caf\xe9"))
    no_utf8.mkdir()
    (no_utf8 / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    Path(os.fsdecode(os.fsencode(packs / "two_in_one") + b"/\xe9.py")).write_text("")
    with served(base) as found:
        yield found


def report(server: Any) -> dict[str, Any]:
    return {one["name"]: one for one in server.get("/api/v1/packs")["packs"]}


def core_runs(server: Any) -> bool:
    return bool(server.run(CORE)["outputs"]["2"]["images"])


def failure(server: Any, prompt: dict[str, Any]) -> Any:
    """The error of a job that failed."""
    status = server.run(prompt)["status"]
    assert status["status_str"] == "error", status
    return next(data for kind, data in status["messages"] if kind == "execution_error")


def refused(server: Any, prompt: dict[str, Any]) -> Any:
    status, value = server.ask("POST", "/prompt", {"prompt": prompt})
    assert status == 400, value
    return value["node_errors"]["1"]["errors"][0]


# -- importing


@pytest.mark.parametrize(
    ("pack", "reason"),
    [
        ("raises_on_import", "helper.py line 3: KeyError: 'a key that is not there'"),
        ("exits_on_import", "line 4: SystemExit: I do not like it here"),
        ("kills_on_import", "importing it ended the process"),
        ("recursion", "line 3: RecursionError"),
        ("circular", "second.py line 2: ImportError"),
        ("half_written", "line 1: SyntaxError"),
        ("no_utf8", "SyntaxError"),
        ("nul", "null bytes"),
        ("hard_to_parse", "SyntaxError: too many nested parentheses"),
        ("hangs", "importing it took longer than 15 s"),
        ("broken_link", "nowhere, which is not there"),
        ("broken_link.py", "nowhere.py, which is not there"),
        ("caf?", "its name is not UTF-8"),
        ("two_in_one.py", "has the same module name custom_nodes.two_in_one, and comes first"),
    ],
)
def test_a_pack_that_cannot_be_imported_is_named_with_the_reason_and_its_line(bad: Any, pack: str, reason: str) -> None:
    found = report(bad)[pack]
    assert found["state"] == "failed" and not found["nodes"]
    assert reason in "\n".join(found["errors"]), found["errors"]
    assert core_runs(bad)


def test_a_pack_that_hangs_is_told_with_the_place_where_it_stands(bad: Any) -> None:
    [error] = report(bad)["hangs"]["errors"]
    assert "it stands at" in error and "hangs/__init__.py line 5: time.sleep(0.1)" in error, error
    workers = [psutil.Process(pid) for pid in bad.workers()]
    assert all("import the pack hangs" not in str(worker.threads()) for worker in workers)


def test_a_broken_prestartup_script_is_told_and_its_pack_loads(bad: Any) -> None:
    found = report(bad)["broken_prestartup"]
    assert found["state"] == "loaded" and "line 2: RuntimeError: before everything" in "\n".join(found["errors"])
    assert bad.run(node("AfterPrestartup"))["outputs"]["1"] == {"after": [True]}


def test_odd_names_of_packs_files_nodes_and_inputs_are_fine(bad: Any) -> None:
    found = report(bad)["odd näme (1).x-y"]
    assert found["state"] == "loaded" and found["nodes"] == ["Odd nöde (1)"]
    shown = bad.run(node("Odd nöde (1)", **{"wïth space": 3}))["outputs"]["1"]
    assert shown == {"module": ["custom_nodes.odd näme (1)_x_x-y"], "given": ["wïth space"]}


def test_two_nodes_of_one_name_in_a_pack_are_told(bad: Any) -> None:
    assert "node TwoInOne is declared 2 times" in "\n".join(report(bad)["two_in_one"]["errors"])
    assert bad.run(node("TwoInOne"))["outputs"]["1"] == {"style": ["theirs"]}


def test_what_is_no_pack_is_passed_over(bad: Any) -> None:
    assert not {"a folder without a module", "read me.txt", "read me"} & set(report(bad))


# -- taking what is not theirs


def test_core_nodes_stay_what_they_are(bad: Any) -> None:
    found = report(bad)["takes_core_names"]
    assert found["nodes"] == ["TakesCoreNames"]
    for name in ("KSampler", "CheckpointLoaderSimple", "VAEDecode", "SaveImage"):
        assert f"node {name} is left out" in "\n".join(found["errors"])
        [told] = bad.get(f"/object_info/{name}").values()
        assert told["python_module"].startswith("nodes.")
    assert core_runs(bad)


# -- declarations


def test_garbage_for_a_declaration_is_left_out_alone_or_made_sense_of(bad: Any) -> None:
    found = report(bad)["garbage"]
    errors = "\n".join(found["errors"])
    left_out = [line for line in found["errors"] if line.startswith("node LeftOut")]
    assert len(left_out) == 14, errors
    assert "SectionIsAList is left out: TypeError: INPUT_TYPES gave list for `required`" in errors
    assert "Endless is left out: ValueError: an input with more than 250000 choices" in errors
    assert len([name for name in found["nodes"] if name.startswith("Kept")]) == 13 and "5" in found["nodes"]


def test_what_sense_was_made_of_garbage_is_sound_json(bad: Any) -> None:
    everything = bad.get("/object_info")
    assert everything["KeptNotFinite"]["input"]["required"]["a"][0] == "FLOAT"
    assert len(everything["KeptHuge"]["input"]["required"]["a"][0]) == 100_000
    assert everything["KeptSurrogates"]["input"]["required"]["a?"][0] == ["?.png"]
    assert everything["KeptOddText"]["category"] == "sd"
    kinds = [name for name in everything if name.startswith("Kept")]
    assert all(bad.get(f"/object_info/{name}")[name] == everything[name] for name in kinds)
    assert bad.run(node("KeptEmpty"))["outputs"]["1"] == {"given": []}


# -- being asked


def test_an_error_in_validate_inputs_is_a_problem_of_the_node(bad: Any) -> None:
    error = refused(bad, node("BadRaisesInValidate", n=1))
    assert error["type"] == "exception_during_inner_validation" and "VALIDATE_INPUTS failed" in error["details"]
    assert "SystemExit" in refused(bad, node("BadLeavesInValidate", n=1))["details"]
    assert refused(bad, node("BadOddValidate", n=1))["type"] == "custom_validation_failed"


def test_an_error_in_is_changed_has_the_node_run_anew(bad: Any) -> None:
    for kind in ("BadRaisesInChanged", "BadLeavesInChanged"):
        assert bad.run(node(kind, n=4))["outputs"]["1"] == {"n": [4]}


@pytest.mark.parametrize(
    ("kind", "said"),
    [("BadRaisesInLazy", "check_lazy_status failed"), ("BadLeavesInLazy", "3")],
)
def test_an_error_in_check_lazy_status_is_an_error_of_the_node(bad: Any, kind: str, said: str) -> None:
    prompt = {
        "1": {"class_type": kind, "inputs": {"n": ["2", 0]}},
        "2": {"class_type": "BadSource", "inputs": {"n": 1}},
    }
    error = failure(bad, prompt)
    assert error["node_id"] == "1" and said in str(error), error
    assert core_runs(bad)
    prompt["1"]["class_type"] = "BadOddLazy"  # it asks for inputs that it has not
    assert bad.run(prompt)["outputs"]["1"] == {"n": [None]}


# -- running


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("BadLeaves", "SystemExit"),
        ("BadInterrupts", "KeyboardInterrupt"),
        ("BadRecursive", "RecursionError"),
        ("BadRaisesInInit", "__init__ failed"),
        ("BadRaisesOddly", "OddError"),
    ],
)
def test_an_error_in_a_node_ends_its_job_and_no_more(bad: Any, kind: str, said: str) -> None:
    before = bad.workers()
    error = failure(bad, node(kind, n=3))
    assert error["node_id"] == "1" and said in f"{error['exception_type']} {error['exception_message']}"
    assert core_runs(bad) and bad.workers() == before


def test_a_huge_error_is_told_shortened(bad: Any) -> None:
    error = failure(bad, node("BadHugeError", n=3))
    assert "RuntimeError" in error["exception_type"] and core_runs(bad)


def test_what_a_node_shows_need_be_no_json(bad: Any) -> None:
    entry = bad.run(node("BadOddUi", n=1))
    assert entry["status"]["status_str"] == "success" and set(entry["outputs"]["1"]) >= {"bytes", "set", "object"}
    assert bad.run(node("BadNoListUi", n=1))["status"]["status_str"] == "success"


@pytest.mark.parametrize("kind", ["BadKills", "BadExits"])
def test_a_node_that_ends_its_process_ends_its_job_and_a_worker_comes_back(bad: Any, kind: str) -> None:
    entry = bad.run(node(kind, n=7))
    assert entry["status"]["status_str"] == "error"
    assert core_runs(bad)


def test_megabytes_of_output_hold_nothing_up_and_do_not_fill_the_log(bad: Any) -> None:
    assert report(bad)["loud"]["state"] == "loaded"
    for how in ("print", "raw", "lines", "log"):
        assert bad.run(node("Loud", how=how))["outputs"]["1"] == {"shouted": [how]}
    assert max(map(len, bad.log)) < 20_000 and sum(map(len, bad.log)) < 10_000_000
    status, ring = bad.ask("GET", "/internal/logs/raw")
    assert status == 200 and len(str(ring)) < 5_000_000


def test_threads_of_a_pack_that_fail_stop_nothing(bad: Any) -> None:
    assert bad.run(node("ThreadRaises"))["outputs"]["1"] == {"went": ["on"]}
    until(
        lambda: any("in a thread from import on" in line for line in bad.log), "the thread's error in the log", bad.log
    )
    assert core_runs(bad)


# -- routes


def test_routes_that_break_are_answers_and_others_work(bad: Any) -> None:
    until(lambda: bad.ask("GET", "/route_breaks/works")[0] == 200, "the routes", bad.log)
    assert bad.ask("GET", "/route_breaks/raises")[1]["error"]["message"] == "RuntimeError: a route that raises"
    with pytest.raises(Exception, match=r"(?i)incomplete|reset|closed"):
        bad.ask("GET", "/route_breaks/half")
    assert bad.ask("GET", "/route_breaks/twice") == (200, b"once")
    assert bad.ask("GET", "/route_breaks/works") == (200, b"works")
    until(lambda: any("no slash" in line for line in bad.log), "it to be logged", bad.log)


def test_a_route_that_ends_the_process_is_told_and_a_worker_comes_back(bad: Any) -> None:
    status, found = bad.ask("GET", "/route_breaks/kills")
    assert status == 502 and found["error"]["type"] == "pack_gone"
    assert core_runs(bad)
    until(lambda: bad.ask("GET", "/route_breaks/works")[0] == 200, "the routes to come back", bad.log)
