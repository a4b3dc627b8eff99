"""A network that estimates depth at work: pictures in, how far everything is out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from engine.models.networks.fitted import IMAGENET, fitted, normalised

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import PerceptionHandle


def working_size(height: int, width: int, resolution: int, *, longest: bool, patch: int) -> tuple[int, int]:
    """The size that a picture is worked on in: its longest (or shortest) side `resolution`, then each to the nearest patch."""
    scale = resolution / (max(height, width) if longest else min(height, width))
    sides = [max(1, round(side * scale)) for side in (height, width)]
    whole = [max(patch, side // patch * patch + (patch if 2 * (side % patch) >= patch else 0)) for side in sides]
    return whole[0], whole[1]


class DepthEstimator:
    """A network that estimates depth, on its device."""

    def __init__(self, module: nn.Module, handle: PerceptionHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module: Any = module
        self.handle, self.device, self.dtype = handle, device, dtype

    @torch.no_grad()
    def estimate(
        self,
        pictures: Tensor,
        resolution: int,
        *,
        longest: bool,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[Tensor, Tensor]:
        """Return depth and sky, each (B, H, W), of pictures (B, H, W, C) in 0..1, one after the other.

        Depth grows with the distance; sky is 0 where there is none. `report` is told of every picture, of how many, and ends
        the work by raising.
        """
        height, width = pictures.shape[1:3]
        size = working_size(height, width, resolution, longest=longest, patch=self.module.patch)
        found = torch.zeros(2, len(pictures), height, width)
        for number, picture in enumerate(pictures):
            planes = normalised(_worked_on(picture[None], size), *IMAGENET).to(self.device, self.dtype)
            made = torch.stack(self.module(planes)).float()
            found[:, number] = functional.interpolate(made, (height, width), mode="bilinear", align_corners=False)[
                :, 0
            ].cpu()
            report(number + 1, len(pictures))
        return found[0], found[1]


def _worked_on(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture in another size: smoothed where it gets smaller, by cubics where it gets larger."""
    if size[0] <= picture.shape[1] and size[1] <= picture.shape[2]:
        return fitted(picture, size)
    planes = fitted(picture, (picture.shape[1], picture.shape[2]))
    larger = functional.interpolate(planes, size, mode="bicubic", align_corners=False)
    return (larger.clamp(0.0, 1.0) * 255.0).round() / 255.0
