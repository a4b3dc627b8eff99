"""How PixArt's transformer is called: with text, and with the size of the picture where it was trained to know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.pooled import even
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

_MASK = "attention_mask"


class PixArtNetwork(Network):
    """PixArt-α and -Σ (Chen et al. 2023, 2024) under text (B, T, D), which it reads by cross-attention."""

    repeats_text: ClassVar[bool] = True
    double_layers = single_layers = Stack("transformer_blocks")

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `attention_mask` (1, T) where a text has padding; of a network that knows sizes, `sizes` (1, 2) in pixels.

        They are height and width that a conditioning tells (CLIPTextEncodePixArtAlpha), else those of the picture.
        """
        found = {} if options.get(_MASK) is None else {_MASK: options[_MASK]}
        if self.handle.config["use_additional_conditions"]:
            sides = (side * self.handle.latent.downscale for side in latent.shape[-2:])
            told = [float(options.get(name, side)) for name, side in zip(("height", "width"), sides, strict=True)]
            found["sizes"] = torch.tensor([told])
        return found

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
        """Return the noise (B, C, h, w) in the dtype and on the device of `x`; what it has learned of the variance is left out.

        `t` (B,) from 0 to 999; `context` (B, T, D); `options` is what `inputs` made, with a row for each of B. Sides that are
        odd are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["caption_channels"]))
        given, (height, width) = options or {}, x.shape[-2:]
        mask, sizes = given.get(_MASK), given.get("sizes")
        added = {"resolution": None, "aspect_ratio": None}
        if sizes is not None:
            told = sizes.to(self.device, self.dtype)
            added = {"resolution": told, "aspect_ratio": told[:, :1] / told[:, 1:].clamp(min=1)}
        predicted: Tensor = self.module(
            even(x).to(self.device, self.dtype),
            encoder_hidden_states=context.to(self.device, self.dtype),
            encoder_attention_mask=None if mask is None else mask.to(self.device),
            timestep=t.to(self.device),
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        return predicted[:, : x.shape[1], :height, :width].to(x)
