"""torchao's Int4Tensor: whole numbers −8 to 7 in halves of bytes, the even one in the low half, in groups along a row.

A number times its group's factor, plus the group's zero point, which are kept (groups, rows). `act_pre_scale`: as in `torchao`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.header import Header
from engine.models.packed.base import WEIGHT, Packing, beside
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ("Int4Tensor",)
SCALE, ZERO, COLUMNS = "_weight_scale", "_weight_zero_point", "_weight_act_pre_scale"
BESIDE = (SCALE, ZERO, COLUMNS)


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told of it: the number of columns of a group is the last of `block_size`."""
    kept, parts = header.shapes[name], beside(header, name, BESIDE)
    if told.get("format") not in TOLD or header.dtypes[name] not in ("I8", "U8") or len(kept) != 2:
        return None
    shape = (kept[0], 2 * kept[1])
    size, told_shape = told.get("block_size"), told.get("shape", shape)
    if not isinstance(size, list) or size[:-1] != [1] or tuple(told_shape) != shape or shape[1] % size[1]:
        return None
    if any(role not in parts or header.shapes[parts[role]] != (shape[1] // size[1], kept[0]) for role in (SCALE, ZERO)):
        return None
    if COLUMNS in parts and header.shapes[parts[COLUMNS]][-1:] not in ((), (1,), (shape[1],)):
        return None
    return Packing(format="torchao_int4", shape=shape, parts=parts)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the bytes, factors and zero points (rows, groups), and the factors of columns."""
    kept = {WEIGHT: parts[WEIGHT]} | {role: parts[role].t().contiguous() for role in (SCALE, ZERO)}
    return kept | ({COLUMNS: parts[COLUMNS].float().reshape(1, -1)} if COLUMNS in parts else {})


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    return {role: part if role == COLUMNS else part[rows] for role, part in parts.items()}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return each number times the factor of its group, plus its zero point."""
    from engine.models.packed.blocks import nibbles

    codes = nibbles(parts[WEIGHT], high_first=False).float()
    codes = codes - 16.0 * (codes > 7)
    groups = codes.reshape(*parts[SCALE].shape, -1) * parts[SCALE].float().unsqueeze(-1)
    weight = (groups + parts[ZERO].float().unsqueeze(-1)).flatten(1)
    return weight * parts[COLUMNS] if COLUMNS in parts else weight
