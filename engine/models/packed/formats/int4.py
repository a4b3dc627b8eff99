"""Weights of four bits, −8 to 7, two a byte, the even one in the low half, rotated, with a factor for each row.

That metadata calls them so is inferred from the name of the computation that they are for; the rest is as the library has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.header import Header
from engine.models.packed import told as tell
from engine.models.packed.base import WEIGHT, Packing, beside
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ("convrot_w4a4",)
SCALE = "weight_scale"
BESIDE = (SCALE,)


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told of it."""
    kept, parts = header.shapes[name], beside(header, name, (SCALE,))
    if told.get("format") not in TOLD or SCALE not in parts or len(kept) != 2:
        return None
    shape = (kept[0], 2 * kept[1])
    group = tell.group(told, shape[1])
    if group is None or math.prod(header.shapes[parts[SCALE]]) != shape[0]:
        return None
    return Packing(format="int4", shape=shape, parts=parts, facts={"group": group})


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the bytes, and the factors as one column."""
    return {WEIGHT: parts[WEIGHT], SCALE: parts[SCALE].float().reshape(-1)}


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows, and their factors."""
    return {role: part[rows] for role, part in parts.items()}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return weight times factor, rotated back."""
    import torch

    from engine.models.packed.blocks import nibbles
    from engine.models.packed.rotation import rotated_back

    halves = nibbles(parts[WEIGHT], high_first=False).view(torch.int8)
    signed = torch.where(halves > 7, halves - 16, halves).float()
    return rotated_back(signed * parts[SCALE][:, None], facts["group"])
