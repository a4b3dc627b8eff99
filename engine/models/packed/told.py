"""What metadata tells of a layer's packing. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.models.header import Header
from engine.models.packed.base import module_of
from engine.models.shapes import Facts, Shape

GROUP = 256
"""Columns that were rotated together, where it is not told."""


def fact(told: Facts, name: str, usual: Any) -> Any:
    """Return an entry of a layer's object, or of its `params`."""
    params = told.get("params")
    return told.get(name, params.get(name, usual) if isinstance(params, Mapping) else usual)


def turned_otherwise(told: Facts) -> bool:
    """Say whether a rotation is told of in words that are not known here: unpacked as not rotated, it would be noise."""
    params = told.get("params")
    words = [*told, *(params if isinstance(params, Mapping) else ())]
    return any(hint in word for word in words for hint in ("rot", "hadamard")) and not any(
        "convrot" in word for word in words
    )


def group(told: Facts, columns: int, *, usual: int = GROUP) -> int | None:
    """Return in groups of how many columns a weight was rotated; None when there can be none of this size."""
    size = fact(told, "convrot_groupsize", usual)
    fits = isinstance(size, int) and size in (4, 16, 64, 256, 1024, 4096) and columns % size == 0
    return size if fits else None


def scales(rows: int, columns: int) -> int:
    """Return how many scales a file has for `rows` of `columns` blocks: rows are filled up to 128, columns to 4."""
    return -(-rows // 128) * 128 * -(-columns // 4) * 4


def unpadded(header: Header, name: str, told: Facts, padded: Shape, multiple: int) -> Shape:
    """Return the shape of a weight that was filled up to multiples.

    It is the one that is told, else as many rows as its bias has: nothing in a file tells that columns were added.
    """
    shape = fact(told, "orig_shape", None) or padded
    bias = header.shapes.get(f"{module_of(name)}.bias", ())
    rows = bias[0] if len(bias) == 1 and tuple(shape) == padded else shape[0]
    found = (int(rows), int(shape[1]))
    return found if all(0 <= full - side < multiple for full, side in zip(padded, found, strict=True)) else padded
