"""Samplers that draw the next level from the prediction of x_0: DDPM's posterior, and consistency models' jump."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.sampling.denoisers import Denoiser, spread
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import Callback, StepInfo, lerp_to, levels, silent


def ddpm(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
) -> Tensor:
    """Draw from q(x_s | x_t, x_0) with the prediction for x_0 (Ho et al. 2020, eq. 6-7), between any two levels.

    With u = x / alpha and r = sigma / alpha the posterior is normal around (r_s / r_t)^2 u + (1 - (r_s / r_t)^2) x_0
    with variance r_s^2 (1 - (r_s / r_t)^2): the least that a step may have. Where the process says so it is the most, beta_t,
    and a network that has learned it gives a point between the two on a scale of logarithms (Nichol & Dhariwal 2021, eq. 15).
    To a higher level there is none, and the step is Euler's. x: (B, C, h, w); sigmas: (n + 1,).
    """
    sigma_list = schedule.clear_of_infinity(levels(sigmas))
    total = len(sigma_list) - 1
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised, share = spread(denoiser, x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        if sigma_next == 0.0:
            return denoised
        if sigma_next > sigma:
            x = lerp_to(x, denoised, sigma_next / sigma)
            continue
        alpha, alpha_next = schedule.alpha(sigma), schedule.alpha(sigma_next)
        keep = (sigma_next * alpha / (sigma * alpha_next)) ** 2
        x = (alpha_next * keep / alpha) * x + (alpha_next * (1.0 - keep)) * denoised
        x = x + noise_sampler(sigma, sigma_next) * _deviation(schedule, sigma, sigma_next, keep, share)
    return x


def _deviation(
    schedule: NoiseSchedule, sigma: float, sigma_next: float, keep: float, share: Tensor | None
) -> float | Tensor:
    """Return the standard deviation of a step down; `share` (B, C, h, w) of -1..1, or None where it was not learned."""
    least = sigma_next * math.sqrt(1.0 - keep)
    if schedule.is_flow or (share is None and schedule.parameterization.variance == "least"):
        return least
    fall = (1.0 + sigma_next**2) / (1.0 + sigma**2)  # abar_t / abar_s
    most = math.sqrt((1.0 + sigma_next**2) * (1.0 - fall))
    if share is None:
        return most
    return torch.exp(
        torch.lerp(share.new_tensor(math.log(least)), share.new_tensor(math.log(most)), (share + 1.0) / 2.0)
    )


def lcm(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    s_noise: float = 1.0,
    s_noise_end: float = 1.0,
    noise_clip_std: float = 0.0,
) -> Tensor:
    """Jump to the prediction, then noise it to the next level (Song et al. 2023, algorithm 1; Luo et al. 2023).

    The noise is scaled by `s_noise` in the first step and by `s_noise_end` in the last, linearly between, and cut to so many of
    its standard deviations as `noise_clip_std` says, 0 for all. x: (B, C, h, w); sigmas: (n + 1,).
    """
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        x_0 = denoiser(x, sigma)
        callback(StepInfo(i, total, x, x_0, sigma))
        x = x_0
        if sigma_next > 0.0:
            scale = s_noise + (s_noise_end - s_noise) * i / max(total - 1, 1)
            noise = _clipped(noise_sampler(sigma, sigma_next), noise_clip_std)
            x = schedule.alpha(sigma_next) * x_0 + noise * (sigma_next * scale)
    return x


def _clipped(noise: Tensor, deviations: float) -> Tensor:
    if deviations <= 0.0:
        return noise
    most = deviations * noise.std()
    return noise.clamp(-most, most)
