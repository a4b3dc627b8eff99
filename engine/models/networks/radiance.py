"""How Chroma Radiance's network is called: with pictures in -1..1, whose sides are filled up to whole patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.layers import STREAMS, Stack
from engine.models.network import Network
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor

TILE_OPTION = "pixel_tile"
"""Option of a model handle: how many patches have their pixels worked out at once, 0 for all. It changes no picture."""
_TILE = 32


class RadianceNetwork(Network):
    """Chroma Radiance (Lodestone Rock 2025) under text (B, T, D), without an autoencoder."""

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
        """Return the velocity (B, 3, H, W) in the dtype and on the device of `x`.

        `t` (B,) from 0 to the schedule's number of timesteps, above 0 for a network that predicts the picture itself;
        `context` (B, T, D). Sides that are no whole patches are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's, or for a picture of less than half a patch.
        """
        check_widths(self, x, context, int(self.handle.config["joint_attention_dim"]))
        module: Any = self.module
        height, width = x.shape[-2:]
        least = (module.patch + 1) // 2
        if min(height, width) < least:
            raise ModelError(
                f"{self.handle.source.path}: expected a picture of {least} pixels a side at least, got {width} × {height}: it is "
                f"made in patches of {module.patch} pixels. Make the latent larger."
            )
        filled = functional.pad(x, (0, -width % module.patch, 0, -height % module.patch), mode="circular")
        level = t / self.handle.parameterization.timesteps
        tile = int(self.handle.options.get(TILE_OPTION, _TILE))
        given = (one.to(self.device, self.dtype) for one in (filled, context, level))
        predicted: Tensor = module(*given, tile)[..., :height, :width].to(x)
        return (x - predicted) / level.to(x)[:, None, None, None] if module.predicts_pictures else predicted
