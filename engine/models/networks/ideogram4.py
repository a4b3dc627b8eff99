"""How Ideogram 4's transformer is called: words, then a token for every latent pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

_SQUARE = 4
"""Pixels of the autoencoder's latent that are one here, two by two."""
_PICTURE_AT = 65536
"""Where the numbers for places of the picture begin, beyond all of words."""


class Ideogram4Network(Network):
    """Ideogram 4 (Ideogram 2026) under text (B, T, L * D): of each token, L layers of its encoder one after the other.

    There may be no token, which is what guidance goes away from.

    The library's module would carry the text's width, thirteen layers of an encoder, along every pixel; its parts are called
    here one by one, so that only words have it. All tokens of a row see each other, so there is no mask.
    """

    double_layers = single_layers = Stack("layers")

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
        """Return the velocity from picture to noise (B, C, h, w) in the dtype and on the device of `x`.

        `t` (B,) from 0 to the schedule's number of timesteps; `context` (B, T, L * D), T 0 or more. To the network time
        0 is noise and 1 the picture, and so its velocity is the other way round.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["llm_features_dim"]))
        module: Any = self.module
        share = 1.0 - t / self.handle.parameterization.timesteps
        time = functional.silu(module.adaln_proj(module.t_embedding(share.to(self.device, self.dtype))[:, None]))
        words = module.llm_cond_proj(module.llm_cond_norm(self._interleaved(context).to(self.device, self.dtype)))
        pixels = module.input_proj(_by_place(x).to(self.device, self.dtype))
        of_words, of_pixels = module.embed_image_indicator.weight
        hidden = torch.cat([words + of_words, pixels + of_pixels], dim=1)
        where = _places(context.shape[1], *x.shape[-2:])[None].to(self.device)
        turns = tuple(part.to(self.dtype) for part in module.rotary_emb(where))
        for layer in module.layers:
            hidden = layer(hidden, None, turns, time)
        velocity: Tensor = module.final_layer(hidden[:, context.shape[1] :], conditioning=time)
        return -_by_channel(velocity, *x.shape[-2:]).to(x)

    def _interleaved(self, context: Tensor) -> Tensor:
        """Return text (B, T, L * D) with the layers of each of the D numbers side by side."""
        layers = len(self.family.towers[0].prompting.layers)
        return torch.unflatten(context, -1, (layers, -1)).mT.flatten(-2)


def _by_place(x: Tensor) -> Tensor:
    """Return (B, C, h, w), each channel's four pixels side by side, as tokens (B, h * w, C) with each pixel's channels so."""
    return torch.unflatten(x.flatten(2), 1, (-1, _SQUARE)).permute(0, 3, 2, 1).flatten(2)


def _by_channel(tokens: Tensor, height: int, width: int) -> Tensor:
    """Return tokens (B, h * w, C) as (B, C, h, w), the inverse of `_by_place`."""
    channels = torch.unflatten(tokens, 2, (_SQUARE, -1)).permute(0, 3, 2, 1).flatten(1, 2)
    return torch.unflatten(channels, 2, (height, width))


def _places(words: int, height: int, width: int) -> Tensor:
    """Return where each token stands, (words + height * width, 3): words in a row, pixels at row and column."""
    count = torch.arange(words)[:, None].expand(-1, 3)
    grid = torch.zeros(height, width, 3, dtype=torch.long)
    grid[..., 1] = torch.arange(height)[:, None]
    grid[..., 2] = torch.arange(width)
    return torch.cat([count, grid.flatten(0, 1) + _PICTURE_AT])
