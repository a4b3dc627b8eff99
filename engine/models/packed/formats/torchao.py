"""torchao's Float8Tensor, Int8Tensor and IntxUnpackedToInt8Tensor: a byte for each number, a factor for each block of them.

A number less its block's `zero_point`, where there is one, times the factor. Blocks are rows, parts of rows, tiles or the whole.
A factor for the activations of the layer (`act_pre_scale`, of SmoothQuant and AWQ) is multiplied into the columns, which is the
same product. How activations are rounded is not read: here they are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.header import Header
from engine.models.packed.base import WEIGHT, Packing, beside
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ("Float8Tensor", "Int8Tensor", "IntxUnpackedToInt8Tensor")
SCALE, ZERO, COLUMNS = "_weight_scale", "_weight_zero_point", "_weight_act_pre_scale"
BESIDE = (SCALE, ZERO, COLUMNS, "_weight_act_quant_scale", "_weight_act_quant_zero_point")
_FLOAT8 = ("F8_E4M3", "F8_E5M2")


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told of it; there are as many blocks as its factor has entries along each dimension."""
    shape, parts = header.shapes[name], beside(header, name, (SCALE, ZERO, COLUMNS))
    if told.get("format") not in TOLD or SCALE not in parts:
        return None
    if header.dtypes[name] not in (_FLOAT8 if told["format"] == TOLD[0] else ("I8",)):
        return None
    blocks = [header.shapes[parts[role]] for role in (SCALE, ZERO) if role in parts]
    if any(not _divides(size, shape) for size in blocks) or not _fits(header, parts, shape):
        return None
    return Packing(format="torchao", shape=shape, parts=parts)


def _divides(blocks: Shape, shape: Shape) -> bool:
    """Whether a factor is one for all, or has a whole number of entries along each dimension."""
    if all(count == 1 for count in blocks):
        return True
    return len(blocks) == len(shape) and all(
        count and side % count == 0 for side, count in zip(shape, blocks, strict=True)
    )


def _fits(header: Header, parts: Mapping[str, str], shape: Shape) -> bool:
    """Whether there is no factor of columns, one for all, or one for each."""
    size = header.shapes[parts[COLUMNS]] if COLUMNS in parts else ()
    return not size or (len(shape) == 2 and size[-1] in (1, shape[1]) and all(side == 1 for side in size[:-1]))


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the weight, its factors and zero points with an entry for each row or one for all, and the factors of columns.

    torchao 0.18.0 writes a block of zeros as NaN with the factor 0, as it divides by that: it is zeros again.
    """
    import torch

    kept = {WEIGHT: parts[WEIGHT]}
    for role in (SCALE, ZERO):
        if role in parts:
            blocks = parts[role]
            blocks = blocks.reshape((1,) * len(shape)) if blocks.numel() == 1 else blocks
            each = len(blocks) in (1, shape[0])
            kept[role] = blocks if each else blocks.repeat_interleave(shape[0] // len(blocks), dim=0)
    if kept[WEIGHT].is_floating_point() and bool((kept[SCALE] == 0).any()):
        weight, nothing = kept[WEIGHT], _spread(kept[SCALE], shape) == 0
        kept[WEIGHT] = weight.view(torch.uint8).masked_fill(nothing, 0).view(weight.dtype)
    if COLUMNS in parts:
        kept[COLUMNS] = parts[COLUMNS].float().reshape(1, -1)
    return kept


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows, and their factors."""
    import torch

    weight = parts[WEIGHT]
    chosen = weight.view(torch.uint8)[rows].view(weight.dtype)  # numbers pick rows of bytes, not of float8
    return {
        role: chosen if role == WEIGHT else part if len(part) == 1 or role == COLUMNS else part[rows]
        for role, part in parts.items()
    }


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return the numbers, less their zero points, times their factors."""
    weight = parts[WEIGHT].float()
    if ZERO in parts:
        weight = weight - _spread(parts[ZERO], shape)
    weight = weight * _spread(parts[SCALE], shape)
    return weight * parts[COLUMNS] if COLUMNS in parts else weight


def _spread(blocks: Tensor, shape: Shape) -> Tensor:
    """Return an entry for each number of a row, or one where they share it."""
    blocks = blocks.float()
    for dim in range(1, len(shape)):
        if (count := blocks.shape[dim]) not in (1, shape[dim]):
            blocks = blocks.repeat_interleave(shape[dim] // count, dim=dim)
    return blocks
