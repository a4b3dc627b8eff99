"""How many numbers one value may hold."""

from __future__ import annotations

import math
from typing import Final

MAX_VALUES: Final = 2**32
"""Most numbers in one tensor that a node makes (16 GiB of float32)."""


def bounded(*shape: int) -> tuple[int, ...]:
    """Return `shape`, or raise ValueError when a tensor of it is empty or holds more than MAX_VALUES numbers."""
    if min(shape) < 1:
        raise ValueError(f"A result of shape {shape} would be empty; every size must be at least 1.")
    if math.prod(shape) > MAX_VALUES:
        gibibytes = math.prod(shape) * 4 / 2**30
        raise ValueError(
            f"A result of shape {shape} needs {gibibytes:.0f} GiB, more than the {MAX_VALUES * 4 // 2**30} GiB that "
            "one value may take; use a smaller width, height or batch."
        )
    return shape
