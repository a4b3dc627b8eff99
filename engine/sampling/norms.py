"""Guidance held to the length of the positive prediction, latent pixel by latent pixel: hooks of a guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.sampling.guiders import GuidanceStep, Hook

if TYPE_CHECKING:
    from torch import Tensor

_NEAR_ZERO = 1e-8


def shortened_to_positive(strength: float) -> Hook:
    """Return a hook that shortens x_0 (B, C, …) to the positive one's length over channels, where longer, times `strength`."""

    def shorten(step: GuidanceStep) -> Tensor:
        return step.denoised * (_ratio(step.positive, step.denoised).clamp(max=1.0) * strength)

    return shorten


def noise_as_long_as_positive(strength: float) -> Hook:
    """Return a hook that gives the guided noise the positive one's length over channels, shorter or longer, times `strength`.

    So do the pipelines of Qwen-Image (Wu et al. 2025), over the channels of two by two pixels together.
    """

    def scale(step: GuidanceStep) -> Tensor:
        positive, guided = (
            step.x - step.positive,
            step.x - step.denoised,
        )  # of either kind of noise process, up to a factor
        return step.x - guided * (_ratio(positive, guided) * strength)

    return scale


def _ratio(wanted: Tensor, given: Tensor) -> Tensor:
    return wanted.norm(dim=1, keepdim=True) / (given.norm(dim=1, keepdim=True) + _NEAR_ZERO)
