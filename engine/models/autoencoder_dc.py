"""The deep compression autoencoder as functions between pictures and latents, which it makes without drawing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from engine.models.autoencoder import Autoencoder

if TYPE_CHECKING:
    from torch import Tensor


class DcAutoencoder(Autoencoder):
    """Chen et al. 2024."""

    def _encode(self, images: Tensor) -> Tensor:
        module = cast("Any", self.module)
        latent: Tensor = module.encode(images.to(self.device, self.dtype), return_dict=False)[0]
        return latent.float().cpu()
