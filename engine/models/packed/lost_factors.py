"""Eight-bit floats whose factors are gone: nothing but the values tells that there were any.

A weight that is scaled is divided by a factor so that its largest value becomes the largest number there is, 448 or 57344. One
that was merely rounded has values as weights have them, at most some tens. No torch.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np

from engine.models.checkpoints import SAFETENSORS_SUFFIXES, read_bytes
from engine.models.packed import Contents, read_header
from engine.models.packed.base import WEIGHT

_LARGEST: Final = {"F8_E4M3": 0x7E, "F8_E5M2": 0x7B}
"""The magnitude of the largest number, as bits; those above are infinity and NaN."""

_LOOKED_AT: Final = 8
"""Matrices of a file whose values are read."""

_MOST_BYTES: Final = 1 << 25
_LEAST: Final = 3
"""Of fewer matrices nothing is said."""


def lost_factors(path: Path) -> str:
    """Say that a file's weights in eight bits were divided by factors that it does not have; "" where nothing hints at it.

    Reads some matrices of a file that has such weights without factors, and nothing but the header of others. Raises
    CheckpointError for a file that cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() not in SAFETENSORS_SUFFIXES:
        return ""
    contents = read_header(path)
    names = _without_factor(contents)
    chosen = names[:: math.ceil(len(names) / _LOOKED_AT)] if names else []
    full = sum(_fills(read_bytes(path, [name])[name], _LARGEST[contents.dtypes[name]]) for name in chosen)
    if len(chosen) < _LEAST or full < len(chosen):
        return ""
    return (
        f"{path.name}: its weights in eight-bit floats have no factors (scale_weight, weight_scale) beside them, but in each of "
        f"the {full} matrices that were looked at they reach the largest number there is, as weights do that were divided by "
        "one. What this model makes will be noise: use another copy of the file, one with its factors."
    )


def _without_factor(contents: Contents) -> list[str]:
    """The matrices in eight-bit floats that stand alone."""
    return [
        name
        for name, packing in contents.packings.items()
        if packing.format == "fp8"
        and packing.parts.keys() == {WEIGHT}
        and contents.dtypes[name] in _LARGEST
        and len(packing.shape) == 2
        and math.prod(packing.shape) <= _MOST_BYTES
    ]


def _fills(values: bytes, largest: int) -> bool:
    """Whether the largest finite magnitude among eight-bit floats is the largest there is."""
    magnitudes = np.frombuffer(values, np.uint8) & 0x7F
    return bool((magnitudes == largest).any())
