"""How Sana's transformer is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

_MASK = "attention_mask"


class SanaNetwork(Network):
    """Sana 1 and 1.5 (Xie et al. 2024, 2025) under text (B, T, D), which it reads by cross-attention."""

    repeats_text: ClassVar[bool] = True
    double_layers = single_layers = Stack("transformer_blocks")

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `attention_mask` (1, T) where a text has padding."""
        return {} if options.get(_MASK) is None else {_MASK: options[_MASK]}

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
        """Return the velocity (B, C, h, w) in the dtype and on the device of `x`.

        `t` (B,) from 0 to 1000; `context` (B, T, D); `options` is what `inputs` made, with a row for each of B.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["caption_channels"]))
        mask = (options or {}).get(_MASK)
        velocity: Tensor = self.module(
            x.to(self.device, self.dtype),
            encoder_hidden_states=context.to(self.device, self.dtype),
            timestep=t.to(self.device),
            encoder_attention_mask=None if mask is None else mask.to(self.device),
            return_dict=False,
        )[0]
        return velocity.to(x)
