"""Weights in the blocks of ggml, as GGUF files have them (`engine.models.packed.ggml`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.gguf_files import BLOCKS, kind_named
from engine.models.header import Header
from engine.models.packed.base import WEIGHT, Packing
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ()
BESIDE = ()


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by its type."""
    dtype, shape = header.dtypes[name], header.shapes[name]
    if not dtype.startswith(BLOCKS):
        return None
    kind = kind_named(dtype.removeprefix(BLOCKS))
    facts = {"kind": kind.name, "numbers": kind.numbers, "size": kind.size}
    rows_are_blocks = len(shape) > 1 and math.prod(shape[1:]) % kind.numbers == 0
    return Packing(format="ggml", shape=shape, parts={WEIGHT: name}, facts=facts, whole=not rows_are_blocks)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the bytes, a row for each of the weight's where these end with a block."""
    rows = shape[0] if math.prod(shape[1:]) % facts["numbers"] == 0 else 1
    return {WEIGHT: parts[WEIGHT].reshape(rows, -1)}


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    return {WEIGHT: parts[WEIGHT][rows]}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return the values of the blocks; those of rare kinds through the package `gguf`, on the CPU."""
    import torch

    from engine.models.packed import ggml

    kept = parts[WEIGHT]
    if ggml.known(facts["kind"]):
        return ggml.unpacked(facts["kind"], kept, facts["size"]).reshape(shape)
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    values = dequantize(kept.cpu().numpy(), GGMLQuantizationType[facts["kind"]])
    return torch.from_numpy(values).to(kept.device).reshape(shape)
