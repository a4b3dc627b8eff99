"""First-order samplers: Euler on the probability-flow ODE, with and without fresh noise, and its corrected form."""

from __future__ import annotations

import math

from torch import Tensor

from engine.sampling.denoisers import Denoiser
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import Callback, StepInfo, ancestral_step, lerp_to, levels, renoise, silent


def churn(
    x: Tensor,
    sigma: float,
    steps: int,
    noise_sampler: NoiseSampler,
    options: tuple[float, float, float, float],
) -> tuple[Tensor, float]:
    """Karras et al. 2022, algorithm 2, lines 4-6: raise the level a little by adding noise. Returns (x, sigma_hat).

    `options`: s_churn, s_tmin, s_tmax, s_noise. Nothing is drawn when nothing is added.
    """
    s_churn, s_tmin, s_tmax, s_noise = options
    gamma = min(s_churn / steps, math.sqrt(2.0) - 1.0) if s_tmin <= sigma <= s_tmax else 0.0
    if gamma <= 0.0:
        return x, sigma
    raised = sigma * (gamma + 1.0)
    return x + noise_sampler(sigma, raised) * (s_noise * math.sqrt(raised**2 - sigma**2)), raised


def euler(
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
    """Euler steps on dx/dsigma = (x - x_0) / sigma (Karras et al. 2022, algorithm 2 without lines 8-9).

    At s_churn 0 this is DDIM (Song et al. 2020) in the variance-exploding form. x: (B, C, h, w); sigmas: (n + 1,).
    """
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    for i in range(total):
        x, sigma = churn(x, sigma_list[i], total, noise_sampler, (s_churn, s_tmin, s_tmax, s_noise))
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        x = lerp_to(x, denoised, sigma_list[i + 1] / sigma)
    return x


def euler_ancestral(
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
    """Euler to a lower level, then fresh noise (Song et al. 2020b, ancestral sampling). x: (B, C, h, w)."""
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        split = ancestral_step(schedule, sigma, sigma_next, eta)
        x = lerp_to(x, denoised, split.sigma_down / sigma)
        x = renoise(x, split, noise_sampler, (sigma, sigma_next), s_noise)
    return x


def gradient_estimation(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    ge_gamma: float = 2.0,
) -> Tensor:
    """Euler with the slope gamma * d_i + (1 - gamma) * d_{i-1} (Permenter & Yuan 2023, algorithm 2). x: (B, C, h, w)."""
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    previous: Tensor | None = None
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        slope = (x - denoised) / sigma
        if sigma_next == 0.0:
            x = denoised
        elif previous is None:
            x = x + slope * (sigma_next - sigma)
        else:
            x = x + (ge_gamma * slope + (1.0 - ge_gamma) * previous) * (sigma_next - sigma)
        previous = slope
    return x
