"""How Fibo 2's transformer is called: a bundle of an encoder's layers for each block that reads the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.fibo2_sizes import PATCH
from engine.models.networks.references import references_of
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import ModelHandle

_REFERENCE = "reference "
_LAYERS = 3
"""Layers of the encoder in a bundle."""


class Fibo2Network(Network):
    """Fibo 2 (Bria AI 2026) under text (B, T, N * D): of each token, N bundles of three layers of its encoder."""

    double_layers = single_layers = Stack("layers", ("x",))

    def __init__(self, module: nn.Module, handle: ModelHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        self.in_channels = int(handle.config["in_channels"]) * PATCH**2

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `reference 0`… (1, C, h, w), pictures to edit, in network space."""
        space = self.handle.latent
        references = references_of(self, options)
        return {f"{_REFERENCE}{n}": (one - space.shift) * space.scale for n, one in enumerate(references)}

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

        `t` (B,) from 0 to the schedule's number of timesteps; `context` (B, T, N * D); `options` is what `inputs` made, with
        a row for each of B.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        config = self.handle.config
        bundles, width = 1 + len(config["injection_layer_ids"]), int(config["cap_feat_dim"])
        check_widths(self, x, context, bundles * width)
        references = [value for name, value in (options or {}).items() if name.startswith(_REFERENCE)]
        velocity: Tensor = self.module(
            hidden_states=_apart(x).to(self.device, self.dtype),
            timestep=(t / self.handle.parameterization.timesteps).to(self.device),
            encoder_hidden_states=_bundled(context, bundles).to(self.device, self.dtype),
            context_latents=[_apart(one).to(self.device, self.dtype) for one in references] or None,
            return_dict=False,
        )[0]
        return _together(velocity).to(x)


def _bundled(context: Tensor, bundles: int) -> Tensor:
    """Return text (B, T, N * D) as N bundles (B, N, T, D), each layer in it with a root mean square of 1 at every token."""
    layers = torch.unflatten(context, -1, (bundles, _LAYERS, -1))
    even = layers * torch.rsqrt(layers.square().mean(dim=-1, keepdim=True) + 1e-6)
    return even.flatten(-2).transpose(1, 2)


def _apart(x: Tensor) -> Tensor:
    """Return (B, 4 C, h, w), four pixels of the autoencoder's latent in one, as (B, C, 2 h, 2 w)."""
    return torch.nn.functional.pixel_shuffle(x, PATCH)


def _together(x: Tensor) -> Tensor:
    """Return (B, C, 2 h, 2 w) as (B, 4 C, h, w), the inverse of `_apart`."""
    return torch.nn.functional.pixel_unshuffle(x, PATCH)
