"""Guidance held to the length of the positive prediction, by latent pixels or whole pictures: hooks of a guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

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
        # Of either kind of noise process, up to a factor.
        positive, guided = step.x - step.positive, step.x - step.denoised
        return step.x - guided * (_ratio(positive, guided) * strength)

    return scale


def _ratio(wanted: Tensor, given: Tensor) -> Tensor:
    ratio: Tensor = wanted.norm(dim=1, keepdim=True) / (given.norm(dim=1, keepdim=True) + _NEAR_ZERO)
    return ratio


def held_to_positive(below: float, share: float) -> Hook:
    """Return a hook that holds each picture's guided prediction to `share` times the length of the positive one.

    `share` 0 leaves it as it is. From the noise level `below` up the positive prediction counts alone.
    """

    def hold(step: GuidanceStep) -> Tensor:
        if step.sigma >= below:
            return step.positive
        if share <= 0.0:
            return step.denoised
        axes = tuple(range(1, step.denoised.dim()))
        most = torch.linalg.vector_norm(step.positive, dim=axes, keepdim=True) * share
        length = torch.linalg.vector_norm(step.denoised, dim=axes, keepdim=True)
        return torch.where(length >= most, step.denoised * (most / length.clamp(min=_NEAR_ZERO)), step.denoised)

    return hold
