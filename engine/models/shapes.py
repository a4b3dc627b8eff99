"""Tensor names and shapes, as headers tell them: the ground on which everything else here stands. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = Mapping[str, Shape]
"""Tensor name → shape."""

Facts: TypeAlias = Mapping[str, Any]
"""What metadata or a config tells beside the shapes."""

Spread: TypeAlias = Callable[[str], float]
"""Reads the standard deviation of one tensor's values."""


def part(shapes: Shapes, prefix: str) -> dict[str, Shape]:
    """Return the tensors under `prefix`, without it; {} when there are none."""
    return {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}


def count(shapes: Shapes, prefix: str) -> int:
    """Return how many numbers follow `prefix` in names: the blocks of a list of modules."""
    indices = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
    return len({index for index in indices if index.isdigit()})


def ending(shapes: Shapes, suffix: str) -> Shape | None:
    """Return the shape of the first tensor whose name ends so, None without one."""
    return next((shape for name, shape in shapes.items() if name.endswith(suffix)), None)
