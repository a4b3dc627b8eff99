"""How FLUX.3's transformer is called: latent pixels, words and pictures to go by as tokens, with four numbers for a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.layers import STREAMS, Stack
from engine.models.network import Network
from engine.models.networks.references import placing, references_of
from engine.models.networks.turns import Turns
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

_REFERENCE = "reference "
_LEVELS = "levels"
_NEAR = 1e-5
"""Levels that differ by less are the same."""
_STRIDE = 0.5
"""How far apart rows and columns of pictures lie."""


class Flux3Network(Network):
    """FLUX.3 klein (Black Forest Labs 2026) under text (B, T, D)."""

    double_layers = Stack("mode_blocks.image", beside=("mode_blocks.image_cond", "txt_mode_blocks"))
    single_layers = Stack("single_transformer_blocks", STREAMS)

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `reference 0`… (1, C, h, w) to go by; and `levels` (1, n + 1) of the run for a network distilled to few steps.

        Raises ModelError where pictures are to be placed in another way than on sheets of their own.
        """
        references = references_of(self, options)
        given: dict[str, Any] = {
            f"{_REFERENCE}{number}": self.handle.latent.to_network(reference)
            for number, reference in enumerate(references)
        }
        if references:
            placing(options, ("index",), "index", self.family.title)
        if self.handle.config["flow_map"]:
            levels = options.get("run_levels")
            given[_LEVELS] = torch.zeros(1, 1) if levels is None else levels.float()[None]
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
        a row for each of B. A network distilled to few steps is told the next level of the run below this one.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["joint_attention_dim"]))
        given = options or {}
        level = t / self.handle.parameterization.timesteps
        words = torch.zeros(context.shape[1], 4)
        words[:, 3] = torch.arange(context.shape[1])
        references = [value for name, value in given.items() if name.startswith(_REFERENCE)]
        where = [_places(x), words]
        arguments = {}
        if references:
            where.append(torch.cat([_places(one, -(1 + number)) for number, one in enumerate(references)]))
            tokens = torch.cat([one.flatten(2).mT for one in references], dim=1)
            arguments["image_cond_hidden_states"] = tokens.to(self.device, self.dtype)
        if _LEVELS in given:
            arguments["target_timestep"] = next_below(level, given[_LEVELS]).to(self.device, self.dtype)
        with Turns.of(self.module).at(*where, device=self.device) as (pictured, written, *beside):
            if beside:
                arguments["image_cond_ids"] = beside[0]
            velocity: Tensor = self.module(
                hidden_states=x.flatten(2).mT.to(self.device, self.dtype),
                encoder_hidden_states=context.to(self.device, self.dtype),
                timestep=level.to(self.device, self.dtype),
                img_ids=pictured,
                txt_ids=written,
                return_dict=False,
                **arguments,
            )[0]
        return velocity.mT.reshape(x.shape).to(x)


def next_below(level: Tensor, levels: Tensor) -> Tensor:
    """Return for each level (B,) the largest of its row of `levels` (B, n) below it; 0 where there is none."""
    ahead = levels.to(level)
    return torch.where(ahead < level[:, None] - _NEAR, ahead, torch.zeros_like(ahead)).amax(dim=1)


def _places(x: Tensor, sheet: float = 0) -> Tensor:
    """Where each pixel of (B, C, h, w) stands, (h * w, 4): 0, its row and column, and where words are counted its sheet."""
    height, width = x.shape[-2:]
    grid = torch.zeros(height, width, 4)
    grid[..., 1] = _STRIDE * torch.arange(height)[:, None]
    grid[..., 2] = _STRIDE * torch.arange(width)
    grid[..., 3] = sheet
    return grid.reshape(-1, 4)
