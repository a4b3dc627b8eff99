"""Projections that one layout stacks in one tensor and another keeps apart. No torch but for tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.models.families.base import Fused, Rows
from engine.models.shapes import rows_of

if TYPE_CHECKING:
    from torch import Tensor


def stacked(modules: Sequence[str], rows: Sequence[int]) -> dict[str, Rows]:
    """Return which rows each module is of a tensor that has so many of each, one after the other."""
    ends = [sum(rows[: number + 1]) for number in range(len(rows))]
    return {module: ((end - count, end),) for module, count, end in zip(modules, rows, ends, strict=True)}


def unstacked(tensors: Mapping[str, Tensor], paths: Mapping[str, str], fused: Fused) -> dict[str, Tensor]:
    """Return tensors of an original layout under the library's names; what is split are views of what is given.

    `paths`: the library's module paths with the original ones; `fused`: original modules that are several of the library's. A
    `scale` is a weight there. Names without a counterpart are kept as they are.
    """
    ours = {theirs: path for path, theirs in paths.items()}
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        module, _, kind = name.rpartition(".")
        for part, rows in fused.get(module, {}).items():
            found[f"{part}.{kind}"] = rows_of(value, rows)
        if module not in fused:
            found[f"{ours[module]}.{'weight' if kind == 'scale' else kind}" if module in ours else name] = value
    return found
