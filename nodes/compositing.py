"""Laying one batch of planes over another."""

from __future__ import annotations

from torch import Tensor

from engine.media.resizing import fit_mask, repeat_to, resize


def paste(
    destination: Tensor, source: Tensor, x: int, y: int, mask: Tensor | None = None, stretch: bool = False
) -> Tensor:
    """Lay `source` (b, C, h, w) over `destination` (B, C, H, W) with its top left corner at (x, y).

    Where `mask` (M, …, h', w') is 1 the source shows, where it is 0 the destination does; it is stretched to the source.
    `stretch` first resizes the source to the destination. What reaches past an edge is cut off. The batch of the
    destination counts: source and mask are repeated to it or cut. Returns a new tensor.
    Five-dimensional planes (B, C, T, H, W) need the same T.
    Raises ValueError when channels or frames differ.
    """
    if destination.shape[1:-2] != source.shape[1:-2]:
        raise ValueError(
            f"Cannot lay {tuple(source.shape)} over {tuple(destination.shape)}: their channels (and frames) must be the "
            "same. Use values of the same kind of model."
        )
    height, width = destination.shape[-2:]
    if stretch:
        source = resize(source, width, height, "bilinear")
    source = repeat_to(source, destination.shape[0])
    result = destination.clone()
    to_y, from_y = _overlap(height, source.shape[-2], y)
    to_x, from_x = _overlap(width, source.shape[-1], x)
    patch = source[..., from_y, from_x].to(result)
    if mask is None:
        result[..., to_y, to_x] = patch
        return result
    fitted = repeat_to(fit_mask(mask, source.shape[-2], source.shape[-1]), destination.shape[0]).to(result)
    leading = (slice(None), *([None] * (source.ndim - 3)))
    share = fitted[..., from_y, from_x][leading]
    below = result[..., to_y, to_x]
    result[..., to_y, to_x] = patch * share + below * (1 - share)
    return result


def _overlap(size: int, length: int, start: int) -> tuple[slice, slice]:
    """Where a piece of `length` placed at `start` meets 0..`size`: (slice of the whole, slice of the piece)."""
    first, last = max(0, start), min(size, start + length)
    last = max(first, last)
    return slice(first, last), slice(first - start, last - start)
