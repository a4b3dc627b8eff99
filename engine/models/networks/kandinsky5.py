"""How Kandinsky 5's transformer is called: a picture is a video of one frame, whose channels come last."""

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


class Kandinsky5Network(Network):
    """Kandinsky 5 (Kandinsky Lab 2025) under text (B, T, D), which it reads by cross-attention, and a pooled text (B, P)."""

    double_layers = single_layers = Stack("visual_transformer_blocks", ("visual_embed",))

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `pooled` (1, P). Raises ModelError for a conditioning whose pooled text is not of this family."""
        return {"pooled": self.pooled(options, int(self.handle.config["in_text_dim2"]))}

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

        `t` (B,) from 0 to 1000; `context` (B, T, D); `options` is what `inputs` made, with a row for each of B. Sides that are
        odd are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["in_text_dim"]))
        height, width = x.shape[-2:]
        filled = even(x)
        sides = (1, filled.shape[-2] // 2, filled.shape[-1] // 2)
        found: Tensor = self.module(
            hidden_states=filled.movedim(1, -1)[:, None].to(self.device, self.dtype),
            encoder_hidden_states=context.to(self.device, self.dtype),
            pooled_projections=(options or {})["pooled"].to(self.device, self.dtype),
            timestep=t.to(self.device),
            visual_rope_pos=[torch.arange(side, device=self.device) for side in sides],
            text_rope_pos=torch.arange(context.shape[1], device=self.device),
            return_dict=False,
        )
        return found[:, 0].movedim(-1, 1)[..., :height, :width].to(x)
