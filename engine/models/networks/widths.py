"""Whether what a network is given has its sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Network


def check_widths(network: Network, x: Tensor, context: Tensor, width: int) -> None:
    """Raise ModelError when `context` (B, T, D) is not `width` wide, or `x` (B, C, h, w) lacks the network's channels."""
    file = network.handle.source.path
    if context.shape[-1] != width:
        raise ModelError(
            f"{file}: expected a conditioning of width {width}, got {context.shape[-1]}: it was made by the text encoder of "
            "another model. Encode the prompt with this family's text encoders."
        )
    if x.shape[1] != network.in_channels:
        raise ModelError(f"{file}: expected a latent of {network.in_channels} channels, got {x.shape[1]}.")


def check_places(network: Network, height: int, width: int, places: int) -> None:
    """Raise ModelError for a latent of more than `places` patches of two by two pixels a side, the square that was learned."""
    if max(height, width) > 2 * places:
        pixels = network.handle.latent.downscale
        raise ModelError(
            f"{network.handle.source.path}: expected a picture of {2 * places * pixels} pixels a side at most, got "
            f"{width * pixels} × {height * pixels}: this network learned no places beyond. Make the latent smaller."
        )
