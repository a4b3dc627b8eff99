"""How the U-Nets of DeepFloyd IF are called: over pictures, the second with the small one beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.networks.unet import CLASSES, UNet

if TYPE_CHECKING:
    from torch import Tensor


class IFUNet(UNet):
    """DeepFloyd IF (Shonenkov et al. 2023, after Saharia et al. 2022): (B, 6, H, W), the noise and the share of the variance."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return {} for the first stage; else `concat` (b, 3, H, W), the enlarged picture, and its noise's level (1,).

        Raises ModelError where the second stage is given no picture.
        """
        if not self.handle.extra_channels:
            return {}
        picture = options.get("concat_image")
        if picture is None:
            raise ModelError(
                f"{self.handle.source.path}: the second stage of {self.family.title} enlarges a picture, got none. "
                "Use IF_StageII_Conditioning on both conditionings."
            )
        return {"concat": picture, CLASSES: torch.tensor([int(options.get("noise_level", 0))])}
