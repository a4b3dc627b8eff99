"""What importing a pack did beside declaring nodes: found by comparing what packs can reach before and after it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from engine.plugins.compat.added_names import added_names
from engine.plugins.compat.host import host_or_none

Folders = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""Model folder → (places, suffixes; none: any)."""


class Surroundings(NamedTuple):
    """What packs may have changed so far."""

    routes: int = 0
    handlers: int = 0
    web: tuple[tuple[str, str], ...] = ()
    folders: Folders | None = None
    names: tuple[tuple[str, ...], ...] = ()
    """Samplers and schedules that were added."""
    classes: Mapping[str, Any] = MappingProxyType({})
    """The table of node classes that packs share, as it is, without core classes that nobody has asked for."""


def surroundings() -> Surroundings:
    """How things stand. Imports nothing: what no pack has asked for, none has changed."""
    host = host_or_none()
    if host is None:
        return Surroundings()
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    return Surroundings(
        routes=len(server.routes) + len(server.app.router.routes()) if server is not None else 0,
        handlers=len(server.on_prompt_handlers) if server is not None else 0,
        web=tuple((str(name), str(folder)) for name, folder in host.web_directories.items()),
        folders=folders(),
        names=tuple(map(tuple, added_names().values())),
        classes=dict(dict.items(table)) if (table := class_table()) is not None else {},
    )


def changed(before: Surroundings, after: Surroundings) -> bool:
    """Whether something is other than it was, but for the table of classes."""
    return before[:-1] != after[:-1]


def folders() -> Folders:
    """The model folders as packs see them; none before one has looked."""
    module = sys.modules.get("folder_paths")
    table = getattr(module, "folder_names_and_paths", None)
    return as_folders(table) if isinstance(table, Mapping) else {}


def as_folders(table: Mapping[Any, Any]) -> Folders:
    """What the table of folders says now, as a value that later changes leave alone."""
    found: Folders = {}
    for name, entry in dict(table).items():
        try:
            found[str(name)] = tuple(map(str, entry[0])), tuple(sorted(map(str, entry[1])))
        except (TypeError, IndexError, KeyError):  # a pack wrote something else there
            continue
    return found


def class_table() -> Any:
    """The table of node classes that packs share, if one has asked for it."""
    module = sys.modules.get("engine.plugins.compat.core_classes")
    return getattr(module, "NODE_CLASS_MAPPINGS", None)


def assigned_classes(before: Surroundings, after: Surroundings) -> dict[str, Any]:
    """The classes that were put into the shared table, by node name; core names that were taken are given back."""
    module = sys.modules.get("engine.plugins.compat.core_classes")
    found: dict[str, Any] = {}
    for name, cls in after.classes.items():
        if module is None or cls is before.classes.get(name):
            continue
        core = module.core_class(name) if module.NODE_CLASS_MAPPINGS.is_core(name) else None
        if cls is core:  # made because somebody asked for it
            continue
        found[name] = cls
        if core is not None:
            dict.__setitem__(module.NODE_CLASS_MAPPINGS, name, core)
    return found


def changed_folders() -> dict[str, tuple[list[str], list[str]]]:
    """The model folders that are other than they were before packs were imported, as the engine's paths take them."""
    module = sys.modules.get("folder_paths")
    first: Folders = getattr(module, "FIRST", {})
    return {name: (list(one[0]), list(one[1])) for name, one in folders().items() if first.get(name) != one}
