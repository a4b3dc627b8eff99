"""Second-order single-step samplers: they look ahead once (or twice) and average the slopes."""

from __future__ import annotations

import math

from torch import Tensor

from engine.sampling.denoisers import Denoiser
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.euler import churn
from engine.sampling.samplers.steps import Callback, StepInfo, ancestral_step, levels, renoise, silent


def heun(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor:
    """Heun's second-order method (Karras et al. 2022, algorithm 2). x: (B, C, h, w); sigmas: (n + 1,)."""
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    for i in range(total):
        x, sigma = churn(x, sigma_list[i], total, noise_sampler, (s_churn, s_tmin, s_tmax, s_noise))
        sigma_next = sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        slope = (x - denoised) / sigma
        if sigma_next > 0.0:
            slope = (slope + _slope(denoiser, x + slope * (sigma_next - sigma), sigma_next)) / 2
        x = x + slope * (sigma_next - sigma)
    return x


def heunpp2(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor:
    """Heun's step with the slopes at up to two further levels, weighted by their noise against the first level's.

    The last step is Euler's, the one before has one look ahead. It takes three evaluations a step; the weights tend to
    those of Euler as the noise falls (heunpp2 of the field; no paper). x: (B, C, h, w); sigmas: (n + 1,).
    """
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    end = sigma_list[-1]
    for i in range(total):
        x, sigma = churn(x, sigma_list[i], total, noise_sampler, (s_churn, s_tmin, s_tmax, s_noise))
        sigma_next = sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        slope = (x - denoised) / sigma
        if sigma_next == end:
            x = x + slope * (sigma_next - sigma)
            continue
        ahead = x + slope * (sigma_next - sigma)
        slope_2 = _slope(denoiser, ahead, sigma_next)
        sigma_after = sigma_list[i + 2]
        if sigma_after == end:
            share_2 = sigma_next / (2.0 * sigma_list[0])
            slope = slope * (1.0 - share_2) + slope_2 * share_2
        else:
            slope_3 = _slope(denoiser, ahead + slope_2 * (sigma_after - sigma_next), sigma_after)
            share_2 = sigma_next / (3.0 * sigma_list[0])
            share_3 = sigma_after / (3.0 * sigma_list[0])
            slope = slope * (1.0 - share_2 - share_3) + slope_2 * share_2 + slope_3 * share_3
        x = x + slope * (sigma_next - sigma)
    return x


def dpm_2(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor:
    """Midpoint method with the midpoint in log sigma (Karras et al. 2022, after DPM-Solver-2). x: (B, C, h, w)."""
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    for i in range(total):
        x, sigma = churn(x, sigma_list[i], total, noise_sampler, (s_churn, s_tmin, s_tmax, s_noise))
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        x = _midpoint_step(denoiser, x, denoised, sigma, sigma_list[i + 1])
    return x


def dpm_2_ancestral(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """The midpoint step to a lower level, then fresh noise. x: (B, C, h, w); sigmas: (n + 1,)."""
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        split = ancestral_step(schedule, sigma, sigma_next, eta)
        x = _midpoint_step(denoiser, x, denoised, sigma, split.sigma_down)
        if split.sigma_down > 0.0:  # else it is the prediction, also on the way to a higher level
            x = renoise(x, split, noise_sampler, (sigma, sigma_next), s_noise)
    return x


def _slope(denoiser: Denoiser, x: Tensor, sigma: float) -> Tensor:
    return (x - denoiser(x, sigma)) / sigma


def _midpoint_step(denoiser: Denoiser, x: Tensor, denoised: Tensor, sigma: float, sigma_next: float) -> Tensor:
    slope = (x - denoised) / sigma
    if sigma_next == 0.0:
        return x + slope * (sigma_next - sigma)
    middle = math.sqrt(sigma * sigma_next)
    slope = _slope(denoiser, x + slope * (middle - sigma), middle)
    return x + slope * (sigma_next - sigma)
