"""How Chroma's transformer is called: latents as tokens of two by two pixels, with their places, under text alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.layers import STREAMS, Stack
from engine.models.network import Network
from engine.models.networks.flux import packed, places, unpacked
from engine.models.networks.pooled import even
from engine.models.networks.turns import Turns
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor


class ChromaNetwork(Network):
    """Chroma (Lodestone Rock 2025) under text (B, T, D); a guidance in a conditioning is not for it."""

    double_layers = Stack("transformer_blocks", STREAMS)
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

        `t` (B,) from 0 to the schedule's number of timesteps; `context` (B, T, D). Sides that are odd are filled up from the
        other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["joint_attention_dim"]))
        height, width = x.shape[-2:]
        filled = even(x)
        rows, columns = (side // 2 for side in filled.shape[-2:])
        where = places(rows, columns), torch.zeros(context.shape[1], 3)
        with Turns.of(self.module).at(*where, device=self.device, dtype=self.dtype) as (pictured, written):
            velocity: Tensor = self.module(
                hidden_states=packed(filled).to(self.device, self.dtype),
                encoder_hidden_states=context.to(self.device, self.dtype),
                timestep=(t / self.handle.parameterization.timesteps).to(self.device, self.dtype),
                img_ids=pictured,
                txt_ids=written,
                return_dict=False,
            )[0]
        return unpacked(velocity, 2 * rows, 2 * columns)[..., :height, :width].to(x)
