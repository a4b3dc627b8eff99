"""An autoencoder of videos whose latents the network takes in pairs of frames: a picture's stands there twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.models.autoencoder import Autoencoder

if TYPE_CHECKING:
    from torch import Tensor


class TwiceAutoencoder(Autoencoder):
    """HunyuanImage's refiner (Tencent 2025) reads the first frame twice; of what it makes the second counts."""

    def _encode(self, images: Tensor) -> Tensor:
        latent = super()._encode(images[:, :, None])[:, :, 0]
        return torch.cat([latent, latent], dim=1)

    def _decode(self, latent: Tensor) -> Tensor:
        return super()._decode(latent[:, latent.shape[1] // 2 :, None])[:, :, 0]
