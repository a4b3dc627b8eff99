"""MXFP8 (Open Compute Project, microscaling formats 1.0): e4m3 numbers, with a power of two for each 32 of a row.

The scales are kept as exponents plus 127 in the order of tensor cores; a byte of 0 stands for a block of zeros.
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

TOLD = ("mxfp8",)
SCALE = "weight_scale"
BESIDE = (SCALE,)
_BLOCK = 32


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told of it."""
    padded, parts = header.shapes[name], beside(header, name, (SCALE,))
    if told.get("format") not in TOLD or SCALE not in parts or len(padded) != 2 or padded[1] % _BLOCK:
        return None
    if math.prod(header.shapes[parts[SCALE]]) != tell.scales(padded[0], padded[1] // _BLOCK):
        return None
    return Packing(format="mxfp8", shape=tell.unpadded(header, name, told, padded, _BLOCK), parts=parts)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return weight and exponents (R, C / 32), row by row."""
    import torch

    from engine.models.packed.blocks import in_rows

    weight = parts[WEIGHT]
    scale = in_rows(parts[SCALE].view(torch.uint8), len(weight), weight.shape[1] // _BLOCK)
    return {WEIGHT: weight[: shape[0]], SCALE: scale[: shape[0]].contiguous()}


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    import torch

    weight = parts[WEIGHT]
    return {WEIGHT: weight.view(torch.uint8)[rows].view(weight.dtype), SCALE: parts[SCALE][rows]}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return each number times its block's power of two."""
    import torch

    from engine.models.packed.blocks import by_blocks, cut

    powers = (parts[SCALE].to(torch.int32) << 23).view(torch.float32)  # the exponent's bits of a float32
    return cut(by_blocks(parts[WEIGHT].float(), powers, _BLOCK), shape)
