"""A map of pictures applied tile by tile, the overlaps blended: placed and weighted as the field places and weights them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor


def in_tiles(
    sample: Tensor,
    apply: Callable[[Tensor], Tensor],
    tile: Sequence[int],
    overlap: Sequence[int],
    scale: Sequence[float],
    channels: int,
    device: torch.device | str = "cpu",
    done: Callable[[], None] = lambda: None,
) -> Tensor:
    """Apply a map to one item (1, C, *sizes) in tiles of `tile`, giving (1, `channels`, *(sizes × scale)) on `device`.

    `tile`, `overlap` and `scale` have a number for each of the sizes. `done` is called after each tile. What fits in one
    tile is mapped whole. Else tiles begin every `tile - overlap` pixels, the last ones are shorter, and each weighs less
    towards its ends, those at the edge of the picture too: what weights there are is divided out.
    """
    sizes = sample.shape[2:]
    if all(size <= side for size, side in zip(sizes, tile, strict=True)):
        whole = apply(sample).to(device)
        done()
        return whole
    larger = [round(size * factor) for size, factor in zip(sizes, scale, strict=True)]
    total = torch.zeros(1, channels, *larger, device=device)
    weights = torch.zeros(1, 1, *larger, device=device)
    for places in itertools.product(*map(starts, sizes, tile, overlap)):
        piece = sample
        for dimension, (start, side) in enumerate(zip(places, tile, strict=True), start=2):
            piece = piece.narrow(dimension, start, min(side, sample.shape[dimension] - start))
        made = apply(piece).to(device)
        shared = (round(each * factor) for each, factor in zip(overlap, scale, strict=True))
        weight = _weights(made.shape[2:], shared).to(device)
        first = [round(start * factor) for start, factor in zip(places, scale, strict=True)]
        _part(total, first, made.shape[2:]).add_(made * weight)
        _part(weights, first, made.shape[2:]).add_(weight)
        done()
    return total.div_(weights)


def _part(whole: Tensor, first: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """The view (1, C, *sizes) of a tensor that begins at `first`."""
    for dimension, (start, size) in enumerate(zip(first, sizes, strict=True), start=2):
        whole = whole.narrow(dimension, start, size)
    return whole


def starts(size: int, tile: int, overlap: int) -> range:
    """Where tiles begin in a direction of `size` pixels; there is one for each `tile - overlap` pixels begun."""
    return range(0, size - overlap, max(1, tile - overlap)) if size > tile else range(1)


def _weights(sizes: Sequence[int], shared: Iterable[int]) -> Tensor:
    """Weights (1, 1, *sizes) that rise as 1/n, 2/n, … 1 over the first n = `shared` pixels of each direction and fall so."""
    weights = torch.ones(1, 1, *sizes)
    for dimension, (size, reach) in enumerate(zip(sizes, shared, strict=True)):
        if 0 < reach < size:
            rising = (torch.arange(1, size + 1) / reach).clamp(max=1)
            weights *= (rising * rising.flip(0)).view(-1, *[1] * (len(sizes) - 1 - dimension))
    return weights
