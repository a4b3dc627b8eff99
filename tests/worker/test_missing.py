"""Which jobs a worker sends back because it lacks a pack of their nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.graph.prompt import Link, Node
from engine.plugins.attempts import Attempts, blame
from engine.plugins.library import Library
from engine.plugins.opening import load_library
from engine.worker.missing import missing

PACK = """
from engine.api import node

@node("Packed")
def packed(value: int = 1) -> int:
    return value
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "missing_good.py").write_text(PACK)
    (tmp_path / "custom_nodes" / "missing_bad.py").write_text("raise RuntimeError('no GPU here')")
    return tmp_path


def library_of(folder: Path) -> Library:
    return load_library((), [folder / "custom_nodes"], folder / "cache" / "catalogue.msgpack")


def test_a_job_of_nodes_that_are_there_can_run(folder: Path) -> None:
    prompt = {"1": Node("Packed", {"value": 1}), "2": Node("Packed", {"value": Link("1", 0)})}
    assert missing(prompt, ("2",), library_of(folder)) == ""


def test_a_node_that_is_not_there_is_named_with_the_packs_that_failed(folder: Path) -> None:
    found = missing({"1": Node("Gone", {})}, ("1",), library_of(folder))
    assert found.startswith("There is no node type 'Gone' here now, though there was when the job was taken in.")
    assert "missing_bad: " in found
    assert "no GPU here" in found


def test_a_node_that_no_output_needs_holds_up_nothing(folder: Path) -> None:
    prompt = {"1": Node("Packed", {}), "2": Node("Gone", {"value": Link("1", 0)})}
    assert missing(prompt, ("1",), library_of(folder)) == ""
    assert missing(prompt, ("1", "2"), library_of(folder)) != ""


def test_a_node_whose_pack_has_ended_two_processes_is_not_there(folder: Path) -> None:
    library = library_of(folder)
    raw = next(record.raw for record in library.foreign if record.pack == "missing_good")
    for number in (9_999_998, 9_999_999):  # beyond the highest process id
        (folder / "cache" / f"importing-{number}").write_text(f"custom_nodes.missing_good\n{raw}\n0\n")
        blame(folder / "cache", number, "Worker 0 ended with exit code 7.")
        Attempts(folder / "cache")
    again = library_of(folder)
    assert not again.has("Packed")
    assert missing({"1": Node("Packed", {})}, ("1",), again) != ""
    assert library.has("Packed"), "the process that has it imported goes on with it"
