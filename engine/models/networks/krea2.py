"""How Krea 2's transformer is called: several layers of a language model for each word, then tokens of 2 × 2 latent pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.flux import packed, places, unpacked
from engine.models.networks.pooled import even
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor


class Krea2Network(Network):
    """Krea 2 (Krea AI 2026) under text (B, T, L * D): of each token, L layers of its encoder one after the other."""

    double_layers = single_layers = Stack("transformer_blocks")

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return {}. Raises ModelError for pictures to go by, which would not be seen."""
        if options.get("reference_latents"):
            raise ModelError(
                f"{self.handle.source.path}: how Krea 2 takes pictures to go by is not known here. Leave them out "
                "(ReferenceLatent, or the VAE of the node that encodes the prompt)."
            )
        return {}

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
        """Return the velocity (B, C, h, w) or (B, C, T, h, w) in the shape and dtype and on the device of `x`.

        T counts pictures, which see nothing of one another. `t` (B,) from 0 to the schedule's number of timesteps; `context`
        (B, T, L * D). Sides that are odd are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        layers, width = (int(self.handle.config[name]) for name in ("num_text_layers", "text_hidden_dim"))
        check_widths(self, x, context, layers * width)
        count = x.shape[2] if x.ndim == 5 else 1
        pictures = even(x.movedim(2, 1).flatten(0, 1) if x.ndim == 5 else x)
        rows, columns = pictures.shape[-2:]
        text = torch.unflatten(context, -1, (layers, width)).repeat_interleave(count, dim=0)
        time = (t / self.handle.parameterization.timesteps).repeat_interleave(count)
        where = torch.cat([torch.zeros(text.shape[1], 3), places(rows // 2, columns // 2)])
        velocity: Tensor = self.module(
            hidden_states=packed(pictures).to(self.device, self.dtype),
            encoder_hidden_states=text.to(self.device, self.dtype),
            timestep=time.to(self.device),
            position_ids=where.to(self.device),
            return_dict=False,
        )[0]
        made = unpacked(velocity, rows, columns)[..., : x.shape[-2], : x.shape[-1]].to(x)
        return torch.unflatten(made, 0, (-1, count)).movedim(1, 2) if x.ndim == 5 else made
