"""The order in which tensor cores want the scales of blocks, and four bits out of bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.shapes import Shape


def in_rows(scales: Tensor, rows: int, columns: int) -> Tensor:
    """Return scales (rows, columns) that are kept as tiles of 128 rows by 4 columns, each a row of 16 for 32 rows of the tile.

    In a tile, row 32 a + b has its four columns at b, 4 a (the order of cuBLAS, "1D block scaling factors layout").
    """
    tiles = scales.reshape(-(-rows // 128), -(-columns // 4), 32, 4, 4)
    whole = tiles.permute(0, 3, 2, 1, 4).reshape(-(-rows // 128) * 128, -1)
    return whole[:rows, :columns]


def nibbles(packed: Tensor, *, high_first: bool) -> Tensor:
    """Return the halves 0 to 15 of bytes (…, N) as (…, 2 N), uint8."""
    low, high = packed.view(torch.uint8) & 15, packed.view(torch.uint8) >> 4
    pairs = (high, low) if high_first else (low, high)
    return torch.stack(pairs, dim=-1).flatten(-2)


def by_blocks(values: Tensor, scales: Tensor, size: int) -> Tensor:
    """Return values (R, C) times the scale (R, C / size) of their block."""
    return (values.reshape(len(values), -1, size) * scales.unsqueeze(-1)).flatten(1)


def cut(weight: Tensor, shape: Shape) -> Tensor:
    """Return a weight without the rows and columns by which it was filled up."""
    return weight[: shape[0], : shape[1]]
