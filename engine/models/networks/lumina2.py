"""How the transformer of Lumina-Image 2 is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.pooled import even
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor


class Lumina2Network(Network):
    """Lumina-Image 2 (Qin et al. 2025) under text (B, T, D): one stream of the text's tokens and the picture's."""

    double_layers = Stack("layers")
    single_layers = Stack("layers")

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

        `t` (B,) from 0 to 1000; `context` (B, T, D), without padding. Sides that are odd are filled up from the other side for
        the call. The network counts time from noise to picture, and so does what it predicts.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["cap_feat_dim"]))
        height, width = x.shape[-2:]
        velocity: Tensor = self.module(
            hidden_states=even(x).to(self.device, self.dtype),
            timestep=(1.0 - t / self.handle.parameterization.timesteps).to(self.device),
            encoder_hidden_states=context.to(self.device, self.dtype),
            encoder_attention_mask=torch.ones(context.shape[:2], dtype=torch.int64, device=self.device),
            return_dict=False,
        )[0]
        return -velocity[..., :height, :width].to(x)
