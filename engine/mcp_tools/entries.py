"""What nodes showed (their `ui`), as files and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.graph.shown import Ui, shown_by
from engine.mcp_tools.records import GivenOutput, Produced


def given_output(name: str, kind: str, uis: Sequence[Ui]) -> GivenOutput:
    """What an output gave whose nodes showed `uis`."""
    shown = shown_by(uis)
    return GivenOutput(name=name, kind=kind, files=tuple(map(file_named, shown.files)), texts=shown.texts)


def files_of(uis: Sequence[Ui]) -> tuple[Produced, ...]:
    """The files among what nodes showed."""
    return tuple(map(file_named, shown_by(uis).files))


def file_named(entry: Mapping[str, Any]) -> Produced:
    """The file that `{filename, subfolder, type}` means."""
    below = str(entry.get("subfolder") or "").replace("\\", "/").strip("/")
    name = f"{below}/{entry['filename']}" if below else str(entry["filename"])
    return Produced(folder=str(entry.get("type") or "output"), name=name)
