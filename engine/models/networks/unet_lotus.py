"""How the U-Net of Lotus is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch

from engine.models.networks.unet import CLASSES, UNet

if TYPE_CHECKING:
    from torch import Tensor

_TASK: Final = (1.0, 0.0)
"""To predict; (0, 1) gives the picture back."""


class LotusUNet(UNet):
    """Lotus (He et al. 2024), told to predict."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `class_labels` (1, 4): sines and cosines of the task's two numbers."""
        task = torch.tensor([_TASK])
        return {CLASSES: torch.cat([task.sin(), task.cos()], dim=1)}
