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

    Variance exploding: `plain_split`. Flow: denoise further by `eta` and come back by rescaling to the signal share of
    `sigma_next`, the noise filling up the variance. There is no such step of a flow to a higher level: that is all ODE.
    """
    if not schedule.is_flow:
        down, up = plain_split(sigma, sigma_next, eta)
        return AncestralStep(down, 1.0, up)
    if sigma_next <= 0.0 or sigma_next > sigma:
        return AncestralStep(sigma_next, 1.0, 0.0)
    down = sigma_next * (1.0 + (sigma_next / sigma - 1.0) * eta)
    rescale = (1.0 - sigma_next) / (1.0 - down)
    up = math.sqrt(max(sigma_next**2 - (down * rescale) ** 2, 0.0))
    return AncestralStep(down, rescale, up)


def plain_split(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """Return (level to denoise to, noise to add), of which the squares add up to sigma_next^2 (Song et al. 2020b).

    To a higher level it is the prediction with all of that level's noise: where a flipped schedule runs, and the variance
    that is asked for cannot be had.
    """
    if eta == 0.0:
        return sigma_next, 0.0
    if sigma_next > sigma:
        return 0.0, sigma_next
    up = min(sigma_next, eta * sigma_next * math.sqrt(1.0 - (sigma_next / sigma) ** 2))
    return math.sqrt(max(sigma_next**2 - up**2, 0.0)), up


def downward(eta: float, sigma: float, sigma_next: float) -> float:
    """Return `eta` for a step to a lower level, and 0 upwards: noise belongs to the reverse process only."""
    return eta if sigma_next < sigma else 0.0


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
