"""Weights in eight-bit floating point (Micikevicius et al. 2022), e4m3 or e5m2, with or without a factor.

A scaled weight was divided by its factor, one for all of it or one for each row: `NAME.scale_weight` (in files with an empty
tensor `scaled_fp8`), or `NAME.weight_scale`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.header import Header
from engine.models.packed.base import WEIGHT, Packing, beside
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ("float8_e4m3fn", "float8_e5m2")
SCALES = ("scale_weight", "weight_scale")
BESIDE = (*SCALES, "scale_input", "input_scale", "scaled_fp8")
_DTYPES = ("F8_E4M3", "F8_E5M2", "torch.float8_e4m3fn", "torch.float8_e5m2")


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by its type; a scale has one entry, or one for each row."""
    if header.dtypes[name] not in _DTYPES or told.get("format", TOLD[0]) not in TOLD:
        return None
    shape = header.shapes[name]
    parts = beside(header, name, SCALES) if name.endswith(f".{WEIGHT}") else {WEIGHT: name}
    scales = {role: header.shapes[scale] for role, scale in parts.items() if role != WEIGHT}
    if len(scales) > 1 or any(math.prod(size) not in (1, shape[0]) for size in scales.values()):
        return None
    if any(header.dtypes[scale] not in ("F32", "F16", "BF16") for role, scale in parts.items() if role in SCALES):
        return None
    return Packing(format="fp8", shape=shape, parts=parts)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the weight, and its factors as one column."""
    return {role: part if role == WEIGHT else part.float().reshape(-1) for role, part in parts.items()}


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows, and their factors."""
    import torch

    weight = parts[WEIGHT]
    chosen = weight.view(torch.uint8)[rows].view(weight.dtype)  # numbers pick rows of bytes, not of float8
    return {
        role: chosen if role == WEIGHT else part if part.numel() == 1 else part[rows] for role, part in parts.items()
    }


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return weight times factor."""
    weight = _floats(parts[WEIGHT])
    for role, scale in parts.items():
        if role != WEIGHT:
            weight = weight.mul_(scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return weight


def _floats(weight: Tensor) -> Tensor:
    """Return float32; on a CPU, where torch converts one number after the other, by looking up what the 256 bytes are worth."""
    import torch

    if weight.device.type != "cpu":
        return weight.float()
    worth = torch.arange(256, dtype=torch.uint8).view(weight.dtype).float()
    numbers = weight.contiguous().view(torch.uint8).flatten().int()
    return worth.index_select(0, numbers).reshape(weight.shape)
