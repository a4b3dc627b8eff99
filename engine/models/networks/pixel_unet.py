"""How the U-Net of DDPM is called: with a picture and a time, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.network import Network

if TYPE_CHECKING:
    from torch import Tensor

NOTHING = 1
"""The width of a conditioning that says nothing (UnconditionalConditioning)."""


class WithoutText(Network):
    """A network that takes no text."""

    def check(self, x: Tensor, context: Tensor) -> None:
        """Raise ModelError for a latent of other channels than the network's, or a conditioning made of a text."""
        if context.shape[-1] != NOTHING:
            raise ModelError(
                f"{self.handle.source.path}: {self.family.title} takes no text, got a conditioning of width {context.shape[-1]}. "
                f"Use {self.conditioned_by} instead of a text encoder."
            )
        if x.shape[1] != self.in_channels:
            raise ModelError(
                f"{self.handle.source.path}: expected a latent of {self.in_channels} channels, got {x.shape[1]}. "
                "Encode the picture with the VAE of this model."
            )

    conditioned_by = "UnconditionalConditioning"


class PixelUNet(WithoutText):
    """Ho et al. 2020."""

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        *,
        concat: Tensor | None = None,
        control: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Return the noise (B, C, h, w) in the dtype and on the device of `x`; `context` is (B, T, 1), of nothing.

        Sides must be multiples of 2 for each level but the last; ModelError otherwise, and for a conditioning of text.
        """
        self.check(x, context)
        least = 2 ** (len(self.handle.config["block_out_channels"]) - 1)
        if x.shape[-2] % least or x.shape[-1] % least:
            raise ModelError(
                f"{self.handle.source.path}: this network takes pictures whose sides are multiples of {least}, got "
                f"{x.shape[-1]} x {x.shape[-2]}. Choose another width and height."
            )
        predicted: Tensor = self.module(x.to(self.device, self.dtype), t.to(self.device), return_dict=False)[0]
        return predicted.to(x)
