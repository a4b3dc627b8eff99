"""torchao's MXTensor and NVFP4Tensor: floats of eight or four bits, with a factor for each block of a row.

MX (Open Compute Project, microscaling formats 1.0) has powers of two, kept as exponents plus 127; NVFP4 e4m3 factors and, maybe,
one more for all. Two four-bit numbers are a byte, the even one in the low half. Factors stand row by row, or in the order of
tensor cores (`is_swizzled_scales`).
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

TOLD = ("MXTensor", "NVFP4Tensor")
SCALE, WHOLE = "_weight_scale", "_weight_per_tensor_scale"
BESIDE = (SCALE, WHOLE, "_weight_act_per_tensor_scale")
_VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_EIGHT = {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told of it: `elem_dtype`, `block_size`, `is_swizzled_scales`."""
    kept, parts = header.shapes[name], beside(header, name, (SCALE, WHOLE))
    if told.get("format") not in TOLD or SCALE not in parts or len(kept) != 2:
        return None
    four = told["format"] == TOLD[1] or told.get("elem_dtype") == "float4_e2m1fn_x2"
    wanted = ("U8", "F4") if four else (_EIGHT.get(str(told.get("elem_dtype"))),)
    shape, size = (kept[0], kept[1] * 2 if four else kept[1]), told.get("block_size")
    if header.dtypes[name] not in wanted or not isinstance(size, int) or size < 1 or shape[1] % size:
        return None
    tiled, across = bool(told.get("is_swizzled_scales")), shape[1] // size
    if math.prod(header.shapes[parts[SCALE]]) != (tell.scales(shape[0], across) if tiled else shape[0] * across):
        return None
    facts = {"block": size, "four": four, "tiled": tiled, "powers": told["format"] == TOLD[0]}
    return Packing(format="torchao_blocks", shape=shape, parts=parts, facts=facts)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the numbers, the bytes of their factors (R, blocks), and the factor for all."""
    import torch

    from engine.models.packed.blocks import in_rows

    factors, across = parts[SCALE].view(torch.uint8), shape[1] // facts["block"]
    rows = in_rows(factors, shape[0], across) if facts["tiled"] else factors.reshape(shape[0], across)
    kept = {WEIGHT: parts[WEIGHT], SCALE: rows.contiguous()}
    return kept | ({WHOLE: parts[WHOLE].float().reshape(-1)} if WHOLE in parts else {})


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    import torch

    weight = parts[WEIGHT]
    chosen = {WEIGHT: weight.view(torch.uint8)[rows].view(weight.dtype), SCALE: parts[SCALE][rows]}
    return chosen | ({WHOLE: parts[WHOLE]} if WHOLE in parts else {})


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return each number times the factor of its block."""
    import torch

    from engine.models.packed.blocks import by_blocks, nibbles

    weight, factors = parts[WEIGHT], parts[SCALE]
    if facts["four"]:
        values = torch.tensor([*_VALUES, *(-value for value in _VALUES)], device=weight.device)
        numbers = values[nibbles(weight.view(torch.uint8), high_first=False).int()]
    else:
        numbers = weight.float()
    kind = torch.float8_e8m0fnu if facts["powers"] else torch.float8_e4m3fn
    scale = factors.view(kind).float()
    if WHOLE in parts:
        scale = parts[WHOLE] * scale
    return by_blocks(numbers, scale, facts["block"])
