"""SVDQuant (Li et al. 2024) as comfy-kitchen keeps it: numbers −8 to 7 in groups, and what they miss as a product of low rank.

A number times the factor of its 64 columns, over the factor of its column (by which activations are divided), plus
`weight_proj_up` times `weight_proj_down` transposed. Halves of bytes, the even number in the low one; rows may lie in tiles of
128. Activations are not rounded here. Where they were shifted before (`act_unsigned`), so that they are positive, the bias has
that taken off, and it is put on again (`svdquant_bias`). What metadata calls it is inferred from the library's name for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.header import Header
from engine.models.packed import told as tell
from engine.models.packed.base import WEIGHT, Packing, beside, module_of
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ("svdquant_w4a4",)
SCALE, DOWN, UP, SMOOTH = "weight_scale", "weight_proj_down", "weight_proj_up", "weight_smooth_factor"
BESIDE = (SCALE, DOWN, UP, SMOOTH)
_GROUP, _TILE = 64, 128


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told of it; `act_unsigned` takes a bias."""
    kept, parts = header.shapes[name], beside(header, name, BESIDE)
    if told.get("format") not in TOLD or header.dtypes[name] not in ("I8", "U8") or len(parts) != 5:
        return None
    tiled = len(kept) == 4
    if len(kept) not in (2, 4) or (tiled and kept[2:] != (_TILE // 4, 4 * _GROUP // 2)):
        return None
    rows, columns = (kept[0] * _TILE, kept[1] * _GROUP) if tiled else (kept[0], 2 * kept[1])
    sizes = {role: math.prod(header.shapes[part]) for role, part in parts.items()}
    rank = header.shapes[parts[DOWN]][-1]
    wanted = {SCALE: columns // _GROUP * rows, DOWN: columns * rank, UP: rows * rank, SMOOTH: columns}
    if columns % _GROUP or any(sizes[role] != size for role, size in wanted.items()):
        return None
    if tell.fact(told, "act_unsigned", False) and f"{module_of(name)}.bias" not in header.shapes:
        return None
    return Packing(format="svdquant", shape=(rows, columns), parts=parts)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return bytes (rows, half the columns), factors (rows, groups), both matrices, and factors of columns (1, columns)."""
    weight, scale, up = parts[WEIGHT], parts[SCALE], parts[UP]
    if weight.ndim == 4:  # four rows side by side, 32 bytes of each
        tiles = weight.reshape(*weight.shape[:3], 4, _GROUP // 2)
        weight = tiles.permute(0, 2, 3, 1, 4).reshape(shape[0], -1)
    scale = scale.transpose(1, 2).flatten(0, 1) if scale.ndim == 3 else scale.t()
    up = up.transpose(1, 2).flatten(0, 1) if up.ndim == 3 else up
    return {
        WEIGHT: weight.contiguous(),
        SCALE: scale.contiguous(),
        UP: up.contiguous(),
        DOWN: parts[DOWN],
        SMOOTH: parts[SMOOTH].float().reshape(1, -1),
    }


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    return {role: part if role in (DOWN, SMOOTH) else part[rows] for role, part in parts.items()}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return what the numbers are worth, and what they missed."""
    missed: Tensor = parts[UP].float() @ parts[DOWN].float().t()
    return worth(parts) + missed


def worth(parts: Mapping[str, Tensor]) -> Tensor:
    """Return what the numbers of prepared parts are worth, float32, (rows, columns)."""
    from engine.models.packed.blocks import by_blocks, nibbles

    codes = nibbles(parts[WEIGHT], high_first=False).float()
    codes = codes - 16.0 * (codes > 7)
    return by_blocks(codes, parts[SCALE].float(), _GROUP) / parts[SMOOTH]
