"""The code that is a family's own: its page, and what its page names. Cached results depend on that, not on other families'.

A handle's identity holds a digest of it, so that a change of a family's code makes void what its models gave, and nothing else.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from engine.sources import Sources

ROOMS: Final = tuple(
    f"engine.models.{name}" for name in ("families", "networks", "towers", "autoencoders", "controls", "perception")
)
"""Packages whose modules belong to the families that name them."""

_SHARED = ("engine.models.families.base", *ROOMS)


def is_room(module: str) -> bool:
    """Say whether a module belongs to the families that name it: not the records themselves, or a package."""
    return module not in _SHARED and module.rpartition(".")[0] in ROOMS


@cache
def code_of(family: str, autoencoder: str = "", control: str = "", perception: str = "") -> str:
    """Return the digest of a family's own code, with that of a kind of autoencoder, control network or perception.

    Of the latter alone for an unknown family.

    Comments and docstrings do not count.
    """
    from engine.models.families import family_named, page_of  # which scanning for nodes needs none of

    modules = [f"engine.models.autoencoders.{autoencoder}"] if autoencoder else []
    modules += [f"engine.models.controls.{control}"] if control else []
    modules += [f"engine.models.perception.{perception}"] if perception else []
    if (page := page_of(family)) is not None:
        modules += [page, *(f"engine.models.towers.{tower.kind}" for tower in family_named(family).towers)]
    sources = _sources()
    return sources.code_digest(name for name in sources.reach(modules, closed=ROOMS) if is_room(name))


@cache
def _sources() -> Sources:
    return Sources(dict(_files()), {})


def _files() -> Iterable[tuple[str, Path]]:
    for package in ROOMS:
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or []) if found else []:
            for path in sorted(Path(folder).glob("*.py")):
                yield (package if path.stem == "__init__" else f"{package}.{path.stem}"), path
