"""AWQ (Lin et al. 2023) as comfy-kitchen keeps it: numbers 0 to 15 in halves of bytes, the even one in the low half, in groups.

A number less 8, times its group's factor, plus the group's zero point, which are kept (groups, rows). What metadata calls it is
inferred from the name of the library's layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.header import Header
from engine.models.packed.base import WEIGHT, Packing, beside
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ("awq_w4a16",)
SCALE, ZERO = "weight_scale", "weight_zeros"
BESIDE = (SCALE, ZERO)


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told of it; the number of columns of a group is that which its factors leave."""
    kept, parts = header.shapes[name], beside(header, name, BESIDE)
    if told.get("format") not in TOLD or header.dtypes[name] not in ("I8", "U8") or len(kept) != 2 or len(parts) != 3:
        return None
    groups, shape = header.shapes[parts[SCALE]], (kept[0], 2 * kept[1])
    if groups != header.shapes[parts[ZERO]] or len(groups) != 2 or groups[1] != kept[0] or shape[1] % groups[0]:
        return None
    return Packing(format="awq", shape=shape, parts=parts)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the bytes, and factors and zero points (rows, groups)."""
    return {WEIGHT: parts[WEIGHT]} | {role: parts[role].t().contiguous() for role in (SCALE, ZERO)}


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    return {role: part[rows] for role, part in parts.items()}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return each number less 8 times the factor of its group, plus its zero point."""
    from engine.models.packed.blocks import nibbles

    codes = nibbles(parts[WEIGHT], high_first=False).float() - 8.0
    scale, zero = (parts[role].float().unsqueeze(-1) for role in (SCALE, ZERO))
    groups: Tensor = codes.reshape(*parts[SCALE].shape, -1) * scale + zero
    return groups.flatten(1)
