"""How FLUX.2's transformer is called: every latent pixel is a token, with four numbers for its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.network import Network
from engine.models.networks.references import placing
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

_REFERENCE = "reference "
_GUIDANCE = 3.5
"""What a distilled network is told where a conditioning says nothing."""
_SHEETS = 10
"""How far apart the sheets of the picture and of each reference lie, along the first number of a place."""


class Flux2Network(Network):
    """FLUX.2 dev and klein (Black Forest Labs 2025) under text (B, T, D)."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `guidance` (1,) for a network that was distilled to take it, and `reference 0`… (1, C, h, w) to go by.

        Raises ModelError where these are to be placed in another way than on sheets of their own.
        """
        references = options.get("reference_latents", ())
        given: dict[str, Any] = {
            f"{_REFERENCE}{number}": self.handle.latent.to_network(reference)
            for number, reference in enumerate(references)
        }
        if references:
            placing(options, ("index",), "index", self.family.title)
        if self.handle.config["guidance_embeds"]:
            given["guidance"] = torch.tensor([float(options.get("guidance", _GUIDANCE))])
        return given

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

        `t` (B,) from 0 to the schedule's number of timesteps; `context` (B, T, D); `options` is what `inputs` made, with
        a row for each of B.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["joint_attention_dim"]))
        given = options or {}
        guidance = given.get("guidance")
        pictures = [x, *(value for name, value in given.items() if name.startswith(_REFERENCE))]
        where = [_places(one, number * _SHEETS) for number, one in enumerate(pictures)]
        words = torch.zeros(context.shape[1], 4)
        words[:, 3] = torch.arange(context.shape[1])
        velocity: Tensor = self.module(
            hidden_states=torch.cat([one.flatten(2).mT for one in pictures], dim=1).to(self.device, self.dtype),
            encoder_hidden_states=context.to(self.device, self.dtype),
            timestep=(t / self.handle.parameterization.timesteps).to(self.device, self.dtype),
            img_ids=torch.cat(where).to(self.device),
            txt_ids=words.to(self.device),
            guidance=None if guidance is None else guidance.to(self.device, self.dtype),
            return_dict=False,
        )[0]
        return velocity[:, : where[0].shape[0]].mT.reshape(x.shape).to(x)


def _places(x: Tensor, sheet: float) -> Tensor:
    """Where each pixel of (B, C, h, w) stands, (h * w, 4): its sheet, row and column, and 0 where words are counted."""
    height, width = x.shape[-2:]
    grid = torch.zeros(height, width, 4)
    grid[..., 0] = sheet
    grid[..., 1] = torch.arange(height)[:, None]
    grid[..., 2] = torch.arange(width)
    return grid.reshape(-1, 4)
