"""FLUX.2's VAE as functions between pictures and packed, normalised latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.nn import functional

from engine.models.autoencoder import Autoencoder

if TYPE_CHECKING:
    from torch import Tensor


class Flux2Autoencoder(Autoencoder):
    """FLUX.2's VAE (Black Forest Labs 2025): latents (B, 128, H / 16, W / 16) with mean 0 and variance 1 in each channel."""

    def _encode(self, images: Tensor) -> Tensor:
        mean, spread = self._statistics()
        return (functional.pixel_unshuffle(super()._encode(images), 2) - mean) / spread

    def _decode(self, latent: Tensor) -> Tensor:
        mean, spread = self._statistics()
        return super()._decode(functional.pixel_shuffle(latent.float().cpu() * spread + mean, 2))

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel, (C, 1, 1)."""
        norm: Any = self.module.bn
        mean, variance = (value.float().cpu()[:, None, None] for value in (norm.running_mean, norm.running_var))
        return mean, (variance + norm.eps).sqrt()
