"""Pictures as their own latents, for networks that denoise pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.autoencoder import Autoencoder

if TYPE_CHECKING:
    from torch import Tensor


class PixelCodec(Autoencoder):
    """Between pictures (B, H, W, 3) in 0..1 and (B, 3, H, W) in -1..1, which is all that there is to do."""

    def _encode(self, images: Tensor) -> Tensor:
        return images.float().cpu()

    def _decode(self, latent: Tensor) -> Tensor:
        return latent.float().cpu()
