"""NVFP4: e2m1 numbers of four bits, two a byte, the even one in the high half; e4m3 factors for each 16 of a row, one for all.

The factors of blocks, `weight_scale`, are kept in the order of tensor cores; `weight_scale_2` is the one for all.
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

TOLD = ("nvfp4",)
SCALE, WHOLE = "weight_scale", "weight_scale_2"
BESIDE = (SCALE, WHOLE)
_BLOCK = 16
_VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told of it."""
    kept, parts = header.shapes[name], beside(header, name, BESIDE)
    if header.dtypes[name] not in ("U8", "I8", "torch.uint8", "torch.int8"):
        return None
    if told.get("format") not in TOLD or len(parts) != 3 or len(kept) != 2 or kept[1] * 2 % _BLOCK:
        return None
    padded = (kept[0], 2 * kept[1])
    if math.prod(header.shapes[parts[SCALE]]) != tell.scales(padded[0], padded[1] // _BLOCK):
        return None
    return Packing(format="nvfp4", shape=tell.unpadded(header, name, told, padded, _BLOCK), parts=parts)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return bytes, and factors (R, C / 16), row by row."""
    import torch

    from engine.models.packed.blocks import in_rows

    weight, scale = parts[WEIGHT].view(torch.uint8), parts[SCALE]
    rows = in_rows(scale.view(torch.uint8), len(weight), 2 * weight.shape[1] // _BLOCK)
    return {
        WEIGHT: weight[: shape[0]],
        SCALE: rows[: shape[0]].contiguous().view(scale.dtype),
        WHOLE: parts[WHOLE].float().reshape(-1),
    }


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    import torch

    scale = parts[SCALE]
    chosen = scale.view(torch.uint8)[rows].view(scale.dtype)
    return {WEIGHT: parts[WEIGHT][rows], SCALE: chosen, WHOLE: parts[WHOLE]}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return each number times the factor of its block times the one for all."""
    import torch

    from engine.models.packed.blocks import by_blocks, cut, nibbles

    values = torch.tensor([*_VALUES, *(-value for value in _VALUES)], device=parts[WEIGHT].device)
    numbers = values[nibbles(parts[WEIGHT], high_first=True).int()]
    return cut(by_blocks(numbers, parts[WHOLE] * parts[SCALE].float(), _BLOCK), shape)
