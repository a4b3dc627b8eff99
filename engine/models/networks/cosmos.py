"""How Cosmos Predict 2's transformer is called: a picture is a video of one frame, beside which stands where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch

from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.pooled import even
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor, nn


def transformer(*, in_channels: int = 16, concat_padding_mask: bool = True, **told: Any) -> nn.Module:
    """Make the library's network, which is given where there is no picture: to put it there itself it needs torchvision."""
    from diffusers.models.transformers.transformer_cosmos import CosmosTransformer3DModel

    channels = in_channels + int(concat_padding_mask)
    return cast("nn.Module", CosmosTransformer3DModel(in_channels=channels, concat_padding_mask=False, **told))


class CosmosNetwork(Network):
    """Cosmos Predict 2 (NVIDIA 2025) under text (B, T, D), which it reads by cross-attention."""

    double_layers = single_layers = Stack("transformer_blocks")

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

        `x` is a flow's, (1 - s) x_0 + s noise with s = `t` (B,), or `t` over the number of timesteps; `context` (B, T, D).

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["text_embed_dim"]))
        told = self.handle.parameterization
        time = t if told.schedule == "share_time" else t / told.timesteps  # where a node has read it as another flow
        return velocity(self, self.module, x, time, context.to(self.device, self.dtype))


def velocity(network: Network, transformer: Any, x: Tensor, t: Tensor, text: Tensor) -> Tensor:
    """Return what a transformer of `network` predicts at `x` and the time `t` (B,) 0..1 under `text`, which is on its device.

    Sides that are odd are filled up from the other side for the call.
    """
    frames = x if x.ndim == 5 else x[:, :, None]
    filled = torch.unflatten(even(frames.flatten(1, 2)), 1, frames.shape[1:3])
    somewhere = torch.zeros_like(filled[:, :1])
    found: Tensor = transformer(
        hidden_states=torch.cat([filled, somewhere], dim=1).to(network.device, network.dtype),
        timestep=t.to(network.device),
        encoder_hidden_states=text,
        return_dict=False,
    )[0]
    return found[..., : x.shape[-2], : x.shape[-1]].reshape(x.shape).to(x)
