"""A network that removes backgrounds at work: pictures in, masks of what stands before them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from engine.models.networks.fitted import IMAGENET, fitted, normalised

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import PerceptionHandle


class Matter:
    """A network that removes backgrounds, on its device."""

    def __init__(self, module: nn.Module, handle: PerceptionHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module, self.handle, self.device, self.dtype = module, handle, device, dtype

    @torch.no_grad()
    def masks(self, pictures: Tensor, report: Callable[[int, int], None] = lambda done, total: None) -> Tensor:
        """Return masks (B, H, W) in 0..1 of pictures (B, H, W, C) in 0..1, one after the other; 1 is what stands before.

        `report` is told of every picture, of how many, and ends the work by raising.
        """
        side, size = int(self.handle.config["size"]), pictures.shape[1:3]
        made = torch.zeros(pictures.shape[0], *size)
        for number, picture in enumerate(pictures):
            planes = normalised(fitted(picture[None], (side, side)), *IMAGENET)
            mask = self.module(planes.to(self.device, self.dtype)).float().sigmoid()
            made[number] = functional.interpolate(mask, size, mode="bilinear", align_corners=True)[0, 0].cpu()
            report(number + 1, len(pictures))
        return made
