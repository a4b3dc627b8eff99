"""Modules of `comfy_extras` with core nodes and small functions about pictures and masks."""

from __future__ import annotations

from typing import Any

import torch

from engine.plugins.compat.core_classes import core_class
from engine.plugins.compat.resizing import resize

LAZY = ("GrowMask", "LatentCompositeMasked", "JoinImageWithAlpha", "LatentBatch")


def composite(
    destination: Any, source: Any, x: int, y: int, mask: Any = None, multiplier: int = 8, resize_source: bool = False
) -> Any:
    """`source` (B, C, h, w) put over `destination` at (x, y) where `mask` is 1; places are in units of 1 / `multiplier`."""
    source = source.to(destination.device)
    if resize_source:
        source = resize(source, destination.shape[-1], destination.shape[-2], "bilinear")
    source = _repeated(source, destination.shape[0])
    x = max(-source.shape[-1] * multiplier, min(x, destination.shape[-1] * multiplier))
    y = max(-source.shape[-2] * multiplier, min(y, destination.shape[-2] * multiplier))
    left, top = x // multiplier, y // multiplier
    if mask is None:
        weight = torch.ones_like(source[:, :1])
    else:
        weight = mask.reshape(-1, 1, *mask.shape[-2:]).to(destination.device)
        weight = torch.nn.functional.interpolate(weight, size=source.shape[-2:], mode="bilinear")
        weight = _repeated(weight, source.shape[0])
    right, bottom = (
        min(left + source.shape[-1], destination.shape[-1]),
        min(top + source.shape[-2], destination.shape[-2]),
    )
    first_x, first_y = max(0, left), max(0, top)
    if right <= first_x or bottom <= first_y:
        return destination
    taken = (..., slice(first_y - top, bottom - top), slice(first_x - left, right - left))
    place = (..., slice(first_y, bottom), slice(first_x, right))
    share = weight[taken]
    destination[place] = share * source[taken] + (1.0 - share) * destination[place]
    return destination


def gaussian_kernel(kernel_size: int, sigma: float, device: Any = None) -> Any:
    """A normal distribution (n, n) over -1..1 that sums to 1."""
    places = torch.linspace(-1, 1, kernel_size, device=device)
    x, y = torch.meshgrid(places, places, indexing="ij")
    bell = torch.exp(-(x * x + y * y) / (2.0 * sigma * sigma))
    return bell / bell.sum()


def _repeated(batch: Any, count: int) -> Any:
    return batch[torch.arange(count, device=batch.device) % batch.shape[0]]


def __getattr__(name: str) -> Any:
    """The class of a core node."""
    found = core_class(name) if not name.startswith("_") else None
    if found is None:
        raise AttributeError(f"there is no core node {name!r}")
    globals()[name] = found
    return found
