"""The pieces that samplers share: the callback, levels as floats, the ancestral split of a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule


class StepInfo(NamedTuple):
    """One step as the callback sees it. `x`, `denoised`: (B, C, h, w) in the network's space; `step` counts from 0."""

    step: int
    total: int
    x: Tensor
    denoised: Tensor
    sigma: float


Callback = Callable[[StepInfo], None]
"""The one seam for progress, previews and cancelling: called once a step; to cancel, raise."""


def silent(info: StepInfo) -> None:
    """Ignore the step: the callback when nobody watches."""


def levels(sigmas: Tensor) -> list[float]:
    """Return the noise levels as Python floats; scalar maths then needs no device and no synchronisation."""
    return [float(sigma) for sigma in sigmas.tolist()]


def lerp_to(x: Tensor, denoised: Tensor, keep: float) -> Tensor:
    """Return keep * x + (1 - keep) * denoised: the move along the straight ODE path to a level `keep` times lower."""
    return denoised + keep * (x - denoised)


class AncestralStep(NamedTuple):
    """A step with fresh noise: denoise to `sigma_down`, then x * `rescale` + noise * `sigma_up`."""

    sigma_down: float
    rescale: float
    sigma_up: float


def ancestral_step(schedule: NoiseSchedule, sigma: float, sigma_next: float, eta: float) -> AncestralStep:
    """Split the step from `sigma` to `sigma_next` into a deterministic part and fresh noise; `eta` 0 is all ODE.

    Variance exploding: Song et al. 2020b, so that sigma_down^2 + sigma_up^2 = sigma_next^2. Flow: denoise further by
    `eta` and come back by rescaling to the signal share of `sigma_next`, the noise filling up the variance.
    """
    if sigma_next <= 0.0:
        return AncestralStep(0.0, 1.0, 0.0)
    if not schedule.is_flow:
        up = min(sigma_next, eta * math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2))
        return AncestralStep(math.sqrt(max(sigma_next**2 - up**2, 0.0)), 1.0, up)
    down = sigma_next * (1.0 + (sigma_next / sigma - 1.0) * eta)
    rescale = (1.0 - sigma_next) / (1.0 - down)
    up = math.sqrt(max(sigma_next**2 - (down * rescale) ** 2, 0.0))
    return AncestralStep(down, rescale, up)


def renoise(
    x: Tensor, split: AncestralStep, noise_sampler: NoiseSampler, span: tuple[float, float], s_noise: float
) -> Tensor:
    """Apply the noisy half of an ancestral step to x (B, C, h, w) at `sigma_down`; draws nothing where none is added.

    `span` is (sigma, sigma_next) of the whole step.
    """
    if split.rescale != 1.0:
        x = x * split.rescale
    if split.sigma_up > 0.0:
        x = x + noise_sampler(*span) * (s_noise * split.sigma_up)
    return x
