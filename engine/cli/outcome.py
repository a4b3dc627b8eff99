"""What a run gave, for people and for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from engine.cli import exits
from engine.cli.exits import CliError
from engine.execute.told import failure_text
from engine.media.atomic import copy_new
from engine.media.errors import MediaError

if TYPE_CHECKING:
    from engine.execute.events import Counts, NodeFailed
    from engine.execute.result import RunResult
    from engine.graph.problems import Problem
    from engine.paths import Paths


FAILURE_FACTS: Final = ("node", "class_type", "message", "exception_type", "input", "expected", "got", "hint")
"""What programs are told of a node that failed."""


class Output(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that an output node gave: a file, or a text."""

    node: str
    kind: str
    """The key in the node's ui: images, text, audio, …"""
    path: str = ""
    folder: str = ""
    """output, temp or input."""
    text: str = ""
    name: str = ""
    """That of the output of the signature, where a server tells it."""


def outputs_of(result: RunResult, paths: Paths) -> list[Output]:
    """The files and texts of all output nodes that ran or were reused."""
    found = []
    for node, ui in result.ui.items():
        for kind, items in ui.items():
            for item in items if isinstance(items, Sequence) and not isinstance(items, str) else [items]:
                output = _output(node, kind, item, paths)
                if output is not None:
                    found.append(output)
    return found


def copied(outputs: Sequence[Output], folder: Path) -> list[Output]:
    """The outputs with their files copied into `folder`: those saved as output, or the previews if nothing was saved.

    A file that is there already with the same bytes is not copied again; one with other bytes is never replaced.
    Raises CliError UNREADABLE when the folder cannot be written.
    """
    wanted = "output" if any(one.folder == "output" for one in outputs) else "temp"
    try:
        return [
            msgspec.structs.replace(one, path=str(copy_new(Path(one.path), folder)), folder=str(folder))
            if one.folder == wanted
            else one
            for one in outputs
        ]
    except MediaError as error:
        raise CliError(exits.UNREADABLE, f"--out: {error}") from error


def summary(counts: Counts) -> str:
    """How much was computed: `ran 3, reused 4 of 7`; `reused 7 of 7` when nothing ran."""
    total = counts.ran + counts.reused + counts.failed + counts.skipped + counts.not_run
    words = (("ran", counts.ran), ("failed", counts.failed), ("skipped", counts.skipped), ("not run", counts.not_run))
    parts = [f"{word} {count}" for word, count in words if count]
    again = f" (made {counts.remade} again)" if counts.remade else ""
    return ", ".join([*parts, f"reused {counts.reused} of {total}"]) + again


def failure_lines(failure: NodeFailed, title: str, debug: bool) -> list[str]:
    """A failed node as lines: what, where, expected, got, what to do; with `debug` the traceback too."""
    lines = failure_text(failure, title).splitlines()
    if debug and failure.traceback:
        lines.append(failure.traceback.rstrip())
    return lines


def as_json(
    result: RunResult, outputs: Sequence[Output], problems: Sequence[Problem], prompt: Mapping[str, Any]
) -> dict[str, Any]:
    """The document that `safelight run --json` prints."""
    return {
        "status": result.status,
        "summary": summary(result.counts),
        "seconds": round(result.seconds, 4),
        "counts": msgspec.to_builtins(result.counts),
        "outputs": [msgspec.to_builtins(one) for one in outputs],
        "nodes": {
            node: {
                "class_type": prompt.get(outcome.display_node, {}).get("class_type", ""),
                "status": outcome.status,
                "seconds": round(outcome.seconds, 4),
            }
            for node, outcome in result.nodes.items()
        },
        "failures": [_failure_json(failure) for failure in result.failures],
        "problems": [msgspec.to_builtins(one) for one in problems],
    }


def _output(node: str, kind: str, item: Any, paths: Paths) -> Output | None:
    if isinstance(item, Mapping) and "filename" in item:
        path = paths.produced(item)
        return Output(node=node, kind=kind, path=str(path), folder=str(item.get("type") or "output")) if path else None
    return Output(node=node, kind=kind, text=item) if isinstance(item, str) else None


def _failure_json(failure: NodeFailed) -> dict[str, Any]:
    return {name: value for name in FAILURE_FACTS if (value := getattr(failure, name))}
