"""Weights as bitsandbytes has them: NF4 and FP4 (Dettmers et al. 2023), two numbers a byte, the first in the high half.

Each number stands for an entry of `quant_map`, times the `absmax` of its block, along the flattened weight. Where these factors
are packed in turn, they are numbers of entries of `nested_quant_map` times the `nested_absmax` of their block, plus an offset.
What remains is a JSON object in the bytes of a tensor, `quant_state.bitsandbytes__nf4`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.header import Header
from engine.models.packed.base import WEIGHT, Packing
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ("nf4", "fp4")
FACTORS, MAP, NESTED, NESTED_MAP = "absmax", "quant_map", "nested_absmax", "nested_quant_map"
BESIDE = (FACTORS, MAP, NESTED, NESTED_MAP, "bitsandbytes__nf4", "bitsandbytes__fp4")


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by what is told: `quant_type`, `shape`, `blocksize`, `nested_blocksize`, `nested_offset`."""
    if told.get("quant_type") not in TOLD or header.dtypes[name] not in ("U8", "torch.uint8"):
        return None
    parts = {role: f"{name}.{role}" for role in BESIDE[:4] if f"{name}.{role}" in header.shapes}
    shape, block = tuple(told.get("shape", ())), told.get("blocksize")
    nested = NESTED in parts
    wanted = {FACTORS, MAP, NESTED, NESTED_MAP} if nested else {FACTORS, MAP}
    if parts.keys() != wanted or not isinstance(block, int) or not shape:
        return None
    if math.prod(header.shapes[name]) != -(-math.prod(shape) // 2):
        return None
    facts = {"block": block}
    if nested:
        facts |= {"outer": told.get("nested_blocksize", 256), "offset": told.get("nested_offset", 0.0)}
    rows = len(shape) > 1 and math.prod(shape[1:]) % block == 0
    return Packing(format="bitsandbytes", shape=shape, parts={WEIGHT: name, **parts}, facts=facts, whole=not rows)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return bytes and unpacked factors, a row for each of the weight's where these end with a block."""
    factors = parts[FACTORS]
    if NESTED in parts:
        outer = parts[NESTED].float().repeat_interleave(facts["outer"])[: factors.numel()]
        factors = parts[NESTED_MAP].float()[factors.flatten().int()] * outer + facts["offset"]
    ends = len(shape) > 1 and math.prod(shape[1:]) % facts["block"] == 0
    rows = shape[0] if ends else 1
    return {WEIGHT: parts[WEIGHT].reshape(rows, -1), FACTORS: factors.reshape(rows, -1), MAP: parts[MAP].float()}


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    return {WEIGHT: parts[WEIGHT][rows], FACTORS: parts[FACTORS][rows], MAP: parts[MAP]}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return the entries of the map times the factors of their blocks."""
    from engine.models.packed.blocks import nibbles

    count = math.prod(shape)
    values = parts[MAP][nibbles(parts[WEIGHT], high_first=True).int()].flatten()[:count]
    factors = parts[FACTORS].flatten().repeat_interleave(facts["block"])[:count]
    return (values * factors).reshape(shape)
