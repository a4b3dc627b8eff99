"""Packs among the installed distributions: those with an entry point in the group `safelight.packs`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from engine.plugins.packs import ModuleFile, source_files

GROUP: Final = "safelight.packs"


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
