"""Pictures to go by: how a conditioning says that a network is to tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.models.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Network


def references_of(
    network: Network, options: Mapping[str, Any], flat: Callable[[Tensor], Tensor] = lambda one: one
) -> list[Tensor]:
    """Return the pictures to go by of a conditioning's options, latents (b, C, h, w), or (b, C, T, h, w) of frames.

    `flat` is called on each first. Raises ModelError for a latent that is not of the network's kind.
    """
    space, found = network.handle.latent, [flat(one) for one in options.get("reference_latents", ())]
    for number, one in enumerate(found, start=1):
        if one.ndim not in (4, 2 + space.axes) or one.shape[1] != space.channels or not one.numel():
            raise ModelError(
                f"{network.handle.source.path}: {network.family.title} goes by latents of {space.channels} channels "
                f"(B, {space.channels}, {'T, ' * (space.axes == 3)}h, w); number {number} of ReferenceLatent is "
                f"{tuple(one.shape)}. Encode the picture with the VAE that belongs to the model."
            )
    return found


def picture_beside(network: Network, options: Mapping[str, Any], latent: Tensor) -> Tensor:
    """Return the picture (b, C, h', w'), in the VAE's space, that goes beside `latent` (B, C, h, w); zeros without one.

    Raises ModelError for one that is not of the network's kind.
    """
    picture: Tensor | None = options.get("concat_latent_image")
    if picture is None:
        return latent.new_zeros(latent[:1].shape)
    if picture.ndim != latent.ndim or picture.shape[1] != latent.shape[1] or not picture.numel():
        raise ModelError(
            f"{network.handle.source.path}: {network.family.title} takes a picture beside the latent, of {latent.shape[1]} "
            f"channels as {tuple(latent.shape)} has, got {tuple(picture.shape)}. Encode it with the VAE of the model."
        )
    return picture


def placing(options: Mapping[str, Any], known: Sequence[str], usual: str, title: str) -> str:
    """Return the way to place references that a conditioning's options name, else `usual`; ModelError for none of `known`."""
    method = str(options.get("reference_latents_method", usual))
    if method not in known:
        raise ModelError(
            f"reference_latents_method: {title} knows {', '.join(known)}, got {method!r}. Choose one of these."
        )
    return method
