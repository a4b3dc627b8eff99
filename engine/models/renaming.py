"""Tensor names of one project into those of another, by patterns; and stacked query, key and value apart. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Patterns: TypeAlias = Iterable[tuple[str, str]]
"""Regular expressions and what stands in their place, applied one after the other."""


def substituted(name: str, patterns: Patterns) -> str:
    """Return a name with every pattern replaced, in order."""
    for pattern, place in patterns:
        name = re.sub(pattern, place, name)
    return name


def apart(
    name: str, value: Tensor, stacked: str = "in_proj_", parts: Iterable[str] = ("q", "k", "v")
) -> dict[str, Any]:
    """Return the thirds of a stacked tensor as views: `in_proj_weight` becomes `q_proj.weight` and those of k and v."""
    names = [name.replace(stacked, f"{part}_proj." if stacked.endswith("_") else f"{part}_proj") for part in parts]
    rows = value.shape[0] // len(names)
    return {one: value[place * rows : (place + 1) * rows] for place, one in enumerate(names)}
