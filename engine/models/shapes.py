"""Tensor names and shapes, as headers tell them: the ground on which everything else here stands. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

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


def rows_of(value: Any, rows: Sequence[tuple[int, int]]) -> Any:
    """Return pieces of rows of a tensor (or array), one after the other; one piece alone is a view."""
    pieces = [value[start:end] for start, end in rows]
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(value, np.ndarray):
        return np.concatenate(pieces)
    import torch

    return torch.cat(pieces)
