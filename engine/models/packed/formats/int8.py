"""Weights as eight-bit whole numbers times a factor, one for all or one for each row; rotated before, where metadata says so.

Whether a weight is rotated shows neither in names nor in types nor in shapes: without metadata none of these is read. What
metadata calls it (`convrot`, `convrot_groupsize`) is inferred from the parameters of the library's layout.
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

TOLD = ("int8_tensorwise",)
SCALE = "weight_scale"
BESIDE = (SCALE,)


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told of it: `convrot`, `convrot_groupsize`."""
    if told.get("format") not in TOLD or header.dtypes[name] not in ("I8", "torch.int8"):
        return None
    shape, parts = header.shapes[name], beside(header, name, (SCALE,))
    if SCALE not in parts or math.prod(header.shapes[parts[SCALE]]) not in (1, shape[0]):
        return None
    if tell.turned_otherwise(told):
        return None
    if not tell.fact(told, "convrot", False):
        return Packing(format="int8", shape=shape, parts=parts)
    group = tell.group(told, shape[-1])
    return None if group is None else Packing(format="int8", shape=shape, parts=parts, facts={"group": group})


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the weight, and its factors as one column."""
    return {WEIGHT: parts[WEIGHT], SCALE: parts[SCALE].float().reshape(-1)}


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows, and their factors."""
    scale = parts[SCALE]
    return {WEIGHT: parts[WEIGHT][rows], SCALE: scale if scale.numel() == 1 else scale[rows]}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return weight times factor, rotated back."""
    weight = parts[WEIGHT].float()
    weight = weight.mul_(parts[SCALE].reshape(-1, *[1] * (weight.ndim - 1)))
    if "group" not in facts:
        return weight
    from engine.models.packed.rotation import rotated_back

    return rotated_back(weight, facts["group"])
