"""How ERNIE-Image's transformer is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor


class ErnieImageNetwork(Network):
    """ERNIE-Image (Baidu 2026) under text (B, T, D): one stream of the latent's pixels and the text's tokens."""

    double_layers = single_layers = Stack("layers", ("x",))

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

        `t` (B,) from 0 to 1000, of which the network makes waves in float32 whatever its dtype; `context` (B, T, D).

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["text_in_dim"]))
        rows, words = context.shape[:2]
        velocity: Tensor = self.module(
            hidden_states=x.to(self.device, self.dtype),
            timestep=t.to(self.device),
            text_bth=context.to(self.device, self.dtype),
            text_lens=torch.full((rows,), words, device=self.device),
            return_dict=False,
        )[0]
        return velocity.to(x)
