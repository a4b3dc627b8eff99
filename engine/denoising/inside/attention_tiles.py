"""HyperTile (tfernd 2023): self-attention of a large picture within tiles of it, each token in one of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from engine.denoising.inside.attention import Changed, Compute, self_attention, sizes_noted
from engine.models.networks.unet_places import Attended, Layout

if TYPE_CHECKING:
    from torch import Tensor

    from engine.denoising.inside.base import Given, Inner, Where

_LEAST: Final = 32
_PIXELS: Final = 8
"""Pixels a side that a tile has at least, and that one of a latent stands for."""


class AttentionTiles:
    """The patch. Which of `swap_size` ways to divide a side is taken changes with noise level and layer, by lot.

    `tile_size` in pixels; `max_depth`: how often the picture may have been halved where there are still tiles; `scale_depth`:
    tiles have as many tokens there as at the full size times 2 for each halving.
    """

    def __init__(self, where: Where, tile_size: int, swap_size: int, max_depth: int, scale_depth: bool) -> None:
        layout = Layout.of(where.network.module)
        assert layout is not None
        self._layout = layout
        self._side = max(_LEAST, tile_size) // _PIXELS
        self._ways, self._depth, self._scaled = swap_size, max_depth, scale_depth

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction with self-attention in tiles."""
        height, width = given.x.shape[-2:]
        depths = {(-(-height // 2**depth), -(-width // 2**depth)): depth for depth in range(self._depth + 1)[::-1]}
        with sizes_noted(self._layout) as sizes:

            def change(number: int, attended: Attended) -> Changed:
                def changed(tokens: Tensor, compute: Compute) -> Tensor:
                    size = sizes[attended.transformer]
                    depth = depths.get(size)
                    if depth is None or tokens.shape[1] != size[0] * size[1]:  # or tokens are merged
                        return compute(tokens)
                    least = self._side * (2**depth if self._scaled else 1)
                    lots = random.Random(f"{given.sigma:.6g} {number}")
                    rows, columns = (tile_count(side, least, self._ways, lots) for side in size)
                    return in_tiles(tokens, size, rows, columns, compute)

                return changed

            changes = ((one, change(number, one)) for number, one in enumerate(self._layout.attended))
            with self_attention(changes):
                return inner(given)


def tile_count(side: int, least: int, ways: int, lots: random.Random) -> int:
    """Return into how many parts a side is divided: one of the `ways` largest numbers that leave parts of `least` or more."""
    least = min(least, side)
    found = [side // part for part in range(least, side + 1) if side % part == 0][:ways]
    return lots.choice(found)


def in_tiles(tokens: Tensor, size: tuple[int, int], rows: int, columns: int, compute: Compute) -> Tensor:
    """Return `compute` of the tokens (B, h w, C) of each of `rows` × `columns` tiles by itself, put together again."""
    if rows * columns == 1:
        return compute(tokens)
    batch, _, channels = tokens.shape
    height, width = size[0] // rows, size[1] // columns
    apart = tokens.reshape(batch, rows, height, columns, width, channels).transpose(2, 3)
    found = compute(apart.reshape(batch * rows * columns, height * width, channels))
    together = found.reshape(batch, rows, columns, height, width, -1).transpose(2, 3)
    return together.reshape(batch, size[0] * size[1], -1)
