"""Weights of eight-bit whole numbers as bitsandbytes has them (Dettmers et al. 2022): `SCB` is the maximum of each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.header import Header
from engine.models.packed.base import WEIGHT, Packing, beside
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

TOLD = ()
SCALE = "SCB"
BESIDE = (SCALE, "weight_format")


def found(header: Header, name: str, told: Facts) -> Packing | None:
    """Recognise a weight by the name of what stands beside it."""
    parts, shape = beside(header, name, (SCALE,)), header.shapes[name]
    if (
        SCALE not in parts
        or header.dtypes[name] not in ("I8", "torch.int8")
        or header.shapes[parts[SCALE]] != shape[:1]
    ):
        return None
    return Packing(format="bitsandbytes_int8", shape=shape, parts=parts)


def prepared(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
    """Return the weight and the maxima of its rows."""
    return {WEIGHT: parts[WEIGHT], SCALE: parts[SCALE].float()}


def taken(parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
    """Return some rows."""
    return {role: part[rows] for role, part in parts.items()}


def unpacked(parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
    """Return weight times maximum over 127."""
    scale = parts[SCALE].reshape(-1, *[1] * (len(shape) - 1))
    return parts[WEIGHT].float() * scale / 127.0
