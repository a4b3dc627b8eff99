"""Packs among the installed distributions: those with an entry point in the group `safelight.packs`."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Final

from engine.plugins.packs import ModuleFile, source_files

GROUP: Final = "safelight.packs"


def installed() -> str:
    """A text that changes when something is installed, which may mend a broken pack, and with the interpreter.

    It reads the time of change of the folders that distributions are installed to, and of those in PYTHONPATH.
    """
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages") or entry in named]
    return " ".join([sys.version, *(f"{entry} {_changed(entry)}" for entry in dict.fromkeys(folders))])


def _changed(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def declared() -> tuple[tuple[str, str], ...]:
    """(pack, module) of each entry point, in order. Reads the metadata of everything installed, which takes a while."""
    from importlib.metadata import entry_points

    return tuple(sorted((one.name, one.module) for one in entry_points(group=GROUP)))


def module_file(pack: str, module: str) -> ModuleFile | None:
    """The module file of an installed pack, found without importing anything; None when there is none."""
    top, *rest = module.split(".")
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if found is None or found.origin is None:
        return None
    path = Path(found.origin)
    if found.submodule_search_locations is None:
        return ModuleFile(module, path, pack, ((module, path),)) if not rest else None
    root = path.parent
    place = root.joinpath(*rest)
    file = next((one for one in (place / "__init__.py", place.with_suffix(".py")) if one.is_file()), None)
    return ModuleFile(module, file, pack, tuple(source_files(root, top))) if file is not None else None
