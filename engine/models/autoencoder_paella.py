"""Stable Cascade's stage A as functions between pictures and latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from engine.models.autoencoder import Autoencoder

if TYPE_CHECKING:
    from torch import Tensor


class PaellaCodec(Autoencoder):
    """It was trained on pictures in 0..1, and its latents are not quantised."""

    def _encode(self, images: Tensor) -> Tensor:
        module = cast("Any", self.module)
        latent: Tensor = module.encode((images / 2 + 0.5).to(self.device, self.dtype), return_dict=False)[0]
        return latent.float().cpu()

    def _decode(self, latent: Tensor) -> Tensor:
        decoded: Tensor = self.module.decode(latent.to(self.device, self.dtype), return_dict=False)[0]
        return decoded.float().cpu() * 2 - 1
