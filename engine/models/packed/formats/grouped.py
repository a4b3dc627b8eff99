"""Weights of four or six bits in groups along a row, rotated, for computing with eight-bit activations (W4A8, W6A8).

Four bits number sixteen values, the `codebook`, or are the value plus 8; six are the value plus 32. Times the factor of its
group, `s_rel`, and rounded to an eight-bit whole number, it is multiplied by the factor of its row, `s_channel`, and a
`correction` of its group is added. Bytes hold low halves first; the upper two of six bits follow in bytes of four, lowest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.header import Header
from engine.models.packed import told as tell
from engine.models.packed.base import WEIGHT, Packing, beside
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ()
RELATIVE, CHANNEL, CODEBOOK, CORRECTION = (
    "weight_s_rel",
    "weight_s_channel",
    "weight_codebook",
    "weight_correction",
)
BESIDE = (RELATIVE, CHANNEL, CODEBOOK, CORRECTION)
_GROUP = 16


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by the names of its factors, which no other way has; `group_size` and `convrot_groupsize` are told."""
    kept, parts = header.shapes[name], beside(header, name, BESIDE)
    if not {RELATIVE, CHANNEL} <= parts.keys() or len(kept) != 2:
        return None
    size = tell.fact(told, "group_size", _GROUP)
    columns = header.shapes[parts[RELATIVE]][-1] * size
    bits = kept[1] * 8 // columns if columns else 0
    group = tell.group(told, columns)
    if bits not in (4, 6) or kept[1] * 8 != bits * columns or group is None:
        return None
    facts = {"group": group, "size": size, "bits": bits}
    return Packing(format="grouped", shape=(kept[0], columns), parts=parts, facts=facts)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the parts, each with an entry for each row but the codebook."""
    return {role: part.t() if role == CORRECTION else part for role, part in parts.items()}


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    import torch

    def chosen(part: Tensor) -> Tensor:
        return part.view(torch.uint8)[rows].view(part.dtype) if part.element_size() == 1 else part[rows]

    return {role: part if role == CODEBOOK else chosen(part) for role, part in parts.items()}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return the weight, rotated back."""
    from engine.models.packed.blocks import by_blocks
    from engine.models.packed.rotation import rotated_back

    codes = _codes(parts[WEIGHT], shape[1], facts["bits"])
    if CODEBOOK in parts:
        values = parts[CODEBOOK].float()[codes]
    else:
        values = codes.float() - 2 ** (facts["bits"] - 1)
    whole = by_blocks(values, parts[RELATIVE].float(), facts["size"]).round().clamp(-127, 127)
    weight = whole * parts[CHANNEL].float().reshape(-1, 1)
    if CORRECTION in parts:
        weight = weight + parts[CORRECTION].float().repeat_interleave(facts["size"], dim=1)
    return rotated_back(weight, facts["group"])


def _codes(kept: Tensor, columns: int, bits: int) -> Tensor:
    import torch

    from engine.models.packed.blocks import nibbles

    codes = nibbles(kept[:, : columns // 2], high_first=False).int()
    if bits == 6:
        upper = kept[:, columns // 2 :].view(torch.uint8).int()
        codes = codes | torch.stack([(upper >> shift) & 3 for shift in (0, 2, 4, 6)], dim=-1).flatten(1) << 4
    return codes
