"""How Stable Cascade's networks are called: C makes a latent 42 times smaller than the picture, B one 4 times smaller from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.network import Network, moved
from engine.models.networks.pushed import pushed

if TYPE_CHECKING:
    from torch import Tensor

_SMALL = 42
"""Pixels a side for one of stage C's latent, where it is not told."""


class _Stage(Network):
    """What both stages share: a text as one vector."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `clip_text_pooled` (1, 1, P). Raises ModelError for a conditioning whose pooled text is not this family's."""
        width = int(self.handle.config["clip_text_pooled_in_channels"])
        return {"clip_text_pooled": self.pooled(options, width)[:, None]}

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
        """Return the noise (B, C, h, w) in the dtype and on the device of `x`; `t` (B,) from 0 to 1.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        self._check(x, context)
        with pushed(self.module, control):
            predicted: Tensor = self.module(
                sample=x.to(self.device, self.dtype),
                timestep_ratio=t.to(self.device, self.dtype),
                return_dict=False,
                **moved(options, self.device, self.dtype),
                **self._text(context),
            )[0]
        return predicted.to(x)

    def _check(self, x: Tensor, context: Tensor) -> None:
        width = self.handle.config.get("clip_text_in_channels")
        if width and context.shape[-1] != int(width):
            raise ModelError(
                f"{self.handle.source.path}: expected a conditioning of width {width}, got {context.shape[-1]}. Encode the "
                f"prompt with the text encoder of {self.family.title}."
            )
        if x.shape[1] != self.in_channels:
            raise ModelError(
                f"{self.handle.source.path}: expected a latent of {self.in_channels} channels, got {x.shape[1]}. "
                "StableCascade_EmptyLatentImage makes one for each stage."
            )

    def _text(self, context: Tensor) -> dict[str, Tensor]:
        return {}


class StageC(_Stage):
    """The stage that makes a picture of a text, and of pictures that CLIP-L saw."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `clip_text_pooled` (1, 1, P), and `clip_img` (1, N, D): pictures that were seen, or zeros (1, 1, D)."""
        seen = [
            use["clip_vision_output"].image_embeds[None] * float(use["strength"])
            for use in options.get("unclip_conditioning", ())
        ]
        width = int(self.handle.config["clip_image_in_channels"])
        pictures = torch.cat(seen, dim=1) if seen else torch.zeros(1, 1, width)
        if pictures.shape[-1] != width:
            raise ModelError(
                f"{self.handle.source.path}: {self.family.title} wants what an image encoder of width {width} saw, got width "
                f"{pictures.shape[-1]}. Use CLIP-L's, which its checkpoint comes with (unCLIPCheckpointLoader)."
            )
        return super().inputs(options, latent, positive) | {"clip_img": pictures}

    def _text(self, context: Tensor) -> dict[str, Tensor]:
        return {"clip_text": context.to(self.device, self.dtype)}


class StageB(_Stage):
    """The stage that makes a larger latent of stage C's."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `clip_text_pooled` (1, 1, P), and `effnet` (b, 16, h', w'), stage C's latent; zeros where there is none."""
        small = options.get("stable_cascade_prior")
        if small is None:
            factor = self.handle.latent.downscale
            height, width = (max(1, side * factor // _SMALL) for side in latent.shape[-2:])
            small = torch.zeros(1, int(self.handle.config["effnet_in_channels"]), height, width)
        return super().inputs(options, latent, positive) | {"effnet": small}
