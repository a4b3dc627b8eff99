"""What nodes showed (their `ui`), as files and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

Ui: TypeAlias = Mapping[str, Any]
"""What one node showed: lists by key, such as `images` with objects `{filename, subfolder, type}`, and `text`."""


class Shown(NamedTuple):
    """The files, each once, as they were shown, and the texts."""

    files: tuple[Mapping[str, Any], ...]
    texts: tuple[str, ...]


def by_display_node(shown: Mapping[str, Ui], place: Callable[[str], str]) -> dict[str, list[Ui]]:
    """What was shown on each node of the submitted graph. `place` says on which one a node's is: itself, but of expansions."""
    found: dict[str, list[Ui]] = {}
    for node, ui in shown.items():
        found.setdefault(place(node), []).append(ui)
    return found


def shown_by(uis: Iterable[Ui]) -> Shown:
    """The files under any key, and the texts under `text`, in their order. What else is among them is passed over."""
    files: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    texts: list[str] = []
    for ui in uis:
        for key, items in ui.items():
            for item in items if isinstance(items, list | tuple) else ():
                if isinstance(item, Mapping) and isinstance(item.get("filename"), str):
                    files.setdefault(_place(item), item)
                elif key == "text" and not isinstance(item, Mapping | list | tuple):
                    texts.append(str(item))
    return Shown(tuple(files.values()), tuple(texts))


def _place(item: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(item.get("type") or "output"), str(item.get("subfolder") or ""), item["filename"]
