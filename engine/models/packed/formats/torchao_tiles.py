"""torchao's Int4TilePackedTo4dTensor: halves of bytes in the order of a GPU's tensor cores, in groups along a row.

A tile is 8 rows by 128 columns, filled up with zeros to 8 and 1024. Lane 4 r + c of it has, of row r, the columns
32 w + 16 t + 8 u + 2 c + h in bits 4 (4 h + 2 t + u) of its word w (the operand B of PTX's `mma.m16n8k16`; torchao's
`tensor_core_tiled_layout.cu`). A number less 8, times its group's factor, plus the group's zero point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.header import Header
from engine.models.packed.base import WEIGHT, Packing, beside
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ("Int4TilePackedTo4dTensor",)
BOTH, COLUMNS = "_weight_scale_and_zero", "_weight_act_pre_scale"
BESIDE = (BOTH, COLUMNS)


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told of it: `shape` is that before it was filled up."""
    kept, parts = header.shapes[name], beside(header, name, BESIDE)
    if told.get("format") not in TOLD or header.dtypes[name] != "I32" or len(kept) != 4 or kept[2:] != (32, 4):
        return None
    shape, padded = told.get("shape"), (8 * kept[0], 128 * kept[1])
    if not isinstance(shape, list) or len(shape) != 2 or -(-shape[0] // 8) * 8 != padded[0] or shape[1] > padded[1]:
        return None
    groups = header.shapes[parts[BOTH]] if BOTH in parts else ()
    if len(groups) != 3 or groups[1:] != (padded[0], 2) or padded[1] % groups[0]:
        return None
    if COLUMNS in parts and header.shapes[parts[COLUMNS]][-1:] not in ((), (1,), (shape[1],)):
        return None
    return Packing(format="torchao_tiles", shape=(shape[0], shape[1]), parts=parts)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return words (rows, tiles, lanes, words of a lane), factors and zero points (rows, groups, 2), and factors of columns."""
    down, across = parts[WEIGHT].shape[:2]
    words = parts[WEIGHT].reshape(down, across, 8, 4, 4).transpose(1, 2).reshape(8 * down, across, 4, 4)
    kept = {WEIGHT: words[: shape[0]].contiguous(), BOTH: parts[BOTH].transpose(0, 1)[: shape[0]].contiguous()}
    return kept | ({COLUMNS: parts[COLUMNS].float().reshape(1, -1)} if COLUMNS in parts else {})


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    return {role: part if role == COLUMNS else part[rows] for role, part in parts.items()}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return each number times the factor of its group, plus its zero point."""
    import torch

    words = parts[WEIGHT]
    shifts = torch.arange(0, 32, 4, dtype=torch.int32, device=words.device)
    halves = ((words.unsqueeze(-1) >> shifts) & 15).reshape(*words.shape, 2, 2, 2)  # R, tiles, c, w, h, t, u
    codes = halves.permute(0, 1, 3, 5, 6, 2, 4).flatten(1).float() - 8.0
    scale, zero = parts[BOTH].float().unsqueeze(2).unbind(-1)
    weight = (codes.reshape(*scale.shape[:2], -1) * scale + zero).flatten(1)[:, : shape[1]]
    return weight * parts[COLUMNS] if COLUMNS in parts else weight
