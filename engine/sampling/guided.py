"""What is made of a guided prediction of x_0 (B, C, …): hooks of a guidance that follow it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from engine.sampling.guiders import GuidanceStep, Hook

if TYPE_CHECKING:
    from torch import Tensor

    from engine.sampling.noise_schedule import NoiseSchedule


def positive_biased(step: GuidanceStep) -> Tensor:
    """Return the guided prediction mixed with `cfg` times the positive one, the more the less alike the two sides are.

    How alike: the cosine, over channels and averaged over each picture, of the signed square roots of cfg times the negative
    prediction and of the mean of guided and cfg × positive. At 1 the guided one alone counts, at -1 the other.
    """
    if step.negative is None or step.cfg is None:
        return step.denoised
    leap = step.positive * step.cfg
    against, along = _signed_root(step.negative * step.cfg), _signed_root((leap + step.denoised) / 2.0)
    alike = torch.nn.functional.cosine_similarity(against, along, dim=1).unsqueeze(1)
    share = (alike.mean(dim=tuple(range(1, alike.dim())), keepdim=True) + 1.0) / 2.0
    return torch.lerp(leap, step.denoised, share)


def _signed_root(x: Tensor) -> Tensor:
    return x.abs().sqrt() * x.sign()


def noise_divided(by: float) -> Hook:
    """Return a hook that divides the predicted noise, of a flow its velocity, by a number (Ning et al. 2023, Epsilon Scaling)."""

    def divide(step: GuidanceStep) -> Tensor:
        return step.x - (step.x - step.denoised) / by

    return divide


def score_rescaled(schedule: NoiseSchedule, k: float, sigma: float) -> Hook:
    """Return a hook that multiplies the predicted noise as if data of deviation `sigma` were sharper by `k`.

    With eta the ratio of signal to noise alpha² / sigma_t², by (eta sigma² + 1) / (eta sigma² / k + 1): temporal score
    rescaling (Xu et al. 2025), of which the prediction of x_0 is what is left of x without that noise, over alpha.
    """

    def rescale(step: GuidanceStep) -> Tensor:
        alpha = schedule.alpha(step.sigma)
        if k == 1.0 or step.sigma <= 0.0 or alpha <= 0.0:
            return step.denoised
        signal = (alpha / step.sigma * sigma) ** 2
        ratio = (signal + 1.0) / (signal / k + 1.0) if math.isfinite(signal) else k
        return ratio * step.denoised + (1.0 - ratio) / alpha * step.x

    return rescale
