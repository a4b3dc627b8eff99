"""What `safelight pack test` and the process that has the pack tell each other: two files, as that process may print anything."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from engine.cli.findings import Finding
from engine.graph.schema import NodeSpec


class Request(msgspec.Struct):
    """Look at the pack `path`, with `base` for a base directory, and write to `report`; the process is ended at `deadline`."""

    path: str
    base: str
    report: str
    deadline: float
    """Unix time."""
    core_nodes: list[str] = []
    core_types: list[str] = []
    """Names of built-in nodes and of their types; without them the built-in nodes have to be imported."""


class Report(msgspec.Struct):
    """What was found so far. Without `complete`, the process ended while `doing` something."""

    findings: list[Finding] = []
    nodes: list[str] = []
    doing: str = "starting"
    complete: bool = False


def types_of(spec: NodeSpec) -> set[str]:
    """The types of a node's inputs and outputs."""
    named = [one.type for one in spec.inputs] + [one.type for one in spec.outputs]
    return {kind for name in named for kind in name.split(",")}


def counted(count: int, what: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def read_report(path: Path) -> Report:
    """The report at `path`; an empty one when there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):
        return Report()


def write_report(path: Path, report: Report) -> None:
    """Write it whole: the process may be ended at any moment."""
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(report))
    os.replace(part, path)  # noqa: PTH105
