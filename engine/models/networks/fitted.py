"""Pictures as networks that see want them: bytes, resized as the libraries' processors do, normalised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Means and deviations of colours."""


def fitted(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures (B, H, W, C) in 0..1 as (B, 3, *size) in 0..1, rounded to bytes before and after resizing.

    Bilinear, and smoothed where they get smaller, as PIL does it: torch's bytes differ from PIL's by two at most. One colour
    becomes three.
    """
    planes = pictures[..., :3].movedim(-1, 1)
    if planes.shape[1] == 1:
        planes = planes.expand(-1, 3, -1, -1)
    whole = (planes.float().clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
    if tuple(whole.shape[-2:]) != size:
        whole = functional.interpolate(whole.contiguous(), size=size, mode="bilinear", antialias=True)
    return whole.float() / 255.0


def normalised(planes: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Return planes (B, 3, H, W) without the mean of each colour, over its deviation."""
    shape = (1, len(mean), 1, 1)
    return (planes - planes.new_tensor(mean).reshape(shape)) / planes.new_tensor(deviation).reshape(shape)
