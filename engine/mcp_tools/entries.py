"""What nodes showed (their `ui`), as files and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.mcp_tools.records import Produced


def files_of(shown: Sequence[Mapping[str, Any]]) -> tuple[Produced, ...]:
    """The files among what nodes showed, each once, in their order."""
    found: dict[Produced, None] = {}
    for items in (items for ui in shown for items in ui.values() if isinstance(items, list | tuple)):
        for item in items:
            if isinstance(item, Mapping) and isinstance(item.get("filename"), str):
                found[file_named(item)] = None
    return tuple(found)


def file_named(entry: Mapping[str, Any]) -> Produced:
    """The file that `{filename, subfolder, type}` means."""
    below = str(entry.get("subfolder") or "").replace("\\", "/").strip("/")
    name = f"{below}/{entry['filename']}" if below else str(entry["filename"])
    return Produced(folder=str(entry.get("type") or "output"), name=name)


def texts_of(shown: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The texts that nodes showed under `text`."""
    lists = (ui.get("text") for ui in shown)
    return tuple(one for items in lists if isinstance(items, list | tuple) for one in items if isinstance(one, str))
