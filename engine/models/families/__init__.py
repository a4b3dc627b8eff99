"""The model families: a page each, found by looking into this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache

from engine.models.families.base import Family, Tower
from engine.models.shapes import Shapes


@cache
def families() -> tuple[Family, ...]:
    """Every family that has networks, by name. Raises TypeError for a page that sets no FAMILY."""
    found = [_family_of(page) for page in pages()]
    return tuple(sorted((family for family in found if family.layouts), key=lambda family: family.name))


def without_networks() -> list[Family]:
    """Return the records of text encoders that belong to no network."""
    return [family for page in pages() if not (family := _family_of(page)).layouts]


def pages() -> list[str]:
    """Return the modules that are a family's page."""
    return [f"{__name__}.{page.name}" for page in pkgutil.iter_modules(__path__) if page.name != "base"]


def page_of(name: str) -> str | None:
    """Return the module that is the page of the family called `name`; None for no family."""
    return next((page for page in pages() if _family_of(page).name == name), None)


def _family_of(page: str) -> Family:
    family = getattr(importlib.import_module(page), "FAMILY", None)
    if not isinstance(family, Family):
        raise TypeError(f"{page}: expected FAMILY, a record of engine.models.families.base, got {family!r}")
    return family


def family_named(name: str) -> Family:
    """Return the record called `name`; KeyError naming the known ones otherwise."""
    for family in (*families(), *without_networks()):
        if family.name == name:
            return family
    raise KeyError(f"no model family {name!r}; known: {', '.join(family.name for family in families())}")


def family_of(shapes: Shapes) -> Family | None:
    """Return the family whose network these tensors are, the prefix taken off; None for an unknown one."""
    return next((family for family in families() if family.fits(shapes)), None)


def tower_of(family: str, name: str) -> Tower:
    """Return the text encoder called `name` of a family; its first where it has none of that name."""
    towers = family_named(family).towers
    return next((tower for tower in towers if tower.name == name), towers[0])


def loader_types(towers: int, field: Sequence[str] = ()) -> tuple[str, ...]:
    """What saved workflows call the families with so many text encoders: those of `field` first, in its order."""
    known = (kind for family in families() if len(family.towers) == towers for kind in family.loader_types)
    return tuple(dict.fromkeys([*field, *known]))


def families_of_type(kind: str, towers: int) -> list[Family]:
    """Return the families that loaders of text encoders call so, with so many of these, then those that do with fewer."""
    called = [family for family in families() if kind in family.loader_types]
    with_fewer = [family for family in called if len(family.towers) > towers and family.join is not None]
    return [family for family in called if len(family.towers) == towers] + with_fewer


def titles() -> str:
    """What messages say is known."""
    return ", ".join(family.title for family in families())
