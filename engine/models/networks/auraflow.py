"""How the transformer of AuraFlow is called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.layers import STREAMS, Stack
from engine.models.network import Network
from engine.models.networks.pooled import even
from engine.models.networks.widths import check_places, check_widths

if TYPE_CHECKING:
    from torch import Tensor


class AuraFlowNetwork(Network):
    """AuraFlow (fal 2024) under text (B, T, D), which is padded with zeros."""

    double_layers = Stack("joint_transformer_blocks", STREAMS)
    single_layers = Stack("single_transformer_blocks")

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

        `t` (B,) from 0 to 1000; `context` (B, T, D). Sides that are odd are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's, or for a picture larger than it knows
        places for.
        """
        check_widths(self, x, context, int(self.handle.config["joint_attention_dim"]))
        height, width = x.shape[-2:]
        check_places(self, height, width, math.isqrt(int(self.handle.config["pos_embed_max_size"])))
        velocity: Tensor = self.module(
            hidden_states=even(x).to(self.device, self.dtype),
            encoder_hidden_states=context.to(self.device, self.dtype),
            timestep=(t / self.handle.parameterization.timesteps).to(self.device),
            return_dict=False,
        )[0]
        return velocity[..., :height, :width].to(x)
