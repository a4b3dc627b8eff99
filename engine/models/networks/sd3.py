"""How the transformer of Stable Diffusion 3 is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch

from engine.models.layers import STREAMS, Stack
from engine.models.networks.added import added_to, per_layer
from engine.models.networks.pooled import PooledTextNetwork, even
from engine.models.networks.widths import check_places

if TYPE_CHECKING:
    from torch import Tensor


class SD3Network(PooledTextNetwork):
    """Stable Diffusion 3 and 3.5 (Esser et al. 2024) under text (B, T, D) and a pooled text (B, P)."""

    double_layers = Stack("transformer_blocks", STREAMS)

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

        `t` (B,) from 0 to 1000; `context` (B, T, D); `options` is what `inputs` made, with a row for each of B; `control` is
        what ControlNets add ("double"). Sides that are odd are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's, or for a picture larger than it knows
        places for.
        """
        self.check(x, context)
        height, width = x.shape[-2:]
        check_places(self, height, width, int(self.handle.config["pos_embed_max_size"]))
        filled = even(x).to(self.device, self.dtype)
        tokens, blocks = filled.shape[-2] * filled.shape[-1] // 4, cast("Any", self.module).transformer_blocks
        velocity: Tensor = self.module(
            hidden_states=filled,
            encoder_hidden_states=context.to(self.device, self.dtype),
            pooled_projections=(options or {})["pooled"].to(self.device, self.dtype),
            timestep=t.to(self.device, self.dtype),
            block_controlnet_hidden_states=per_layer(added_to(control, "double"), len(blocks), tokens, filled),
            return_dict=False,
        )[0]
        return velocity[..., :height, :width].to(x)
