"""Reading a picture between its pixels: windows of it scaled and turned, with smooth edges."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate


def sampled(planes: Tensor, x: Tensor, y: Tensor, scale: tuple[float, float]) -> Tensor:
    """`planes` (C, h, w) at the places `x` and `y` (H, W), in pixels from the top left edge, as (C, H, W).

    Bilinear, the outermost pixels going on past the edges. `scale` is how many pixels of `planes` one of the result spans
    across and down: whole multiples are averaged first, so that fine patterns do not alias.
    """
    height, width = planes.shape[-2:]
    shrink_y, shrink_x = (
        max(1, min(size, math.floor(one + 1e-6))) for one, size in zip(reversed(scale), (height, width))
    )
    source = planes[None]
    if shrink_x * shrink_y > 1:
        rows, columns = math.ceil(height / shrink_y), math.ceil(width / shrink_x)
        at_y = torch.arange(rows * shrink_y).clamp(max=height - 1)
        at_x = torch.arange(columns * shrink_x).clamp(max=width - 1)
        source = interpolate(source[:, :, at_y][:, :, :, at_x], size=(rows, columns), mode="area")
    grid = torch.stack([x / (source.shape[-1] * shrink_x) * 2 - 1, y / (source.shape[-2] * shrink_y) * 2 - 1], dim=-1)
    return grid_sample(source, grid[None].to(source), mode="bilinear", padding_mode="border", align_corners=False)[0]


def covered(x: Tensor, y: Tensor, width: float, height: float) -> Tensor:
    """How much of the pixels around the places `x` and `y` (H, W) lies within `width` × `height` pixels, 0..1.

    Exact where pixels and edges are parallel; smooth over one pixel across edges that are turned.
    """
    across = (x + 0.5).clamp(0, 1) * (width - x + 0.5).clamp(0, 1)
    return across * (y + 0.5).clamp(0, 1) * (height - y + 0.5).clamp(0, 1)
