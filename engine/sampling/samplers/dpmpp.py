"""DPM-Solver++ (Lu et al. 2022b): exponential integrators in lambda = log(alpha / sigma) of the data prediction.

The ODE forms need lambda only up to a constant step by step, and (x - x_0) / sigma is the same slope for flow models, so
t = -log sigma serves both. The SDE forms ask the schedule for alpha, since their noise depends on it.
"""

from __future__ import annotations

import math

from torch import Tensor

from engine.sampling.denoisers import Denoiser
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import (
    Callback,
    StepInfo,
    ancestral_step,
    downward,
    lerp_to,
    levels,
    plain_split,
    renoise,
    silent,
)

_BELOW_NOISE = 0.9999


def dpmpp_2s_ancestral(
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
    """DPM-Solver++(2S) to a lower level (algorithm 1, r = 1/2), then fresh noise. x: (B, C, h, w); sigmas: (n + 1,)."""
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        split = ancestral_step(schedule, sigma, sigma_next, eta)
        if split.sigma_down > 0.0:
            middle = _middle(schedule, sigma, split.sigma_down)
            denoised = denoiser(lerp_to(x, denoised, middle / sigma), middle)
        x = lerp_to(x, denoised, split.sigma_down / sigma)
        x = renoise(x, split, noise_sampler, (sigma, sigma_next), s_noise)
    return x


def _middle(schedule: NoiseSchedule, sigma: float, sigma_next: float) -> float:
    """Return the level halfway in log SNR; a flow's pure noise has none, so its middle is just below."""
    if schedule.is_flow and max(sigma, sigma_next) >= 1.0:
        return _BELOW_NOISE
    half = (schedule.half_log_snr(sigma) + schedule.half_log_snr(sigma_next)) / 2
    return schedule.sigma_of_half_log_snr(half)


def dpmpp_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Tensor:
    """DPM-Solver++ for the SDE, single step with an inner point at `r` of the log SNR, fresh noise at both.

    The stochastic counterpart of algorithm 1, as k-diffusion gives it: two evaluations a step. x: (B, C, h, w).
    """
    sigma_list = schedule.clear_of_infinity(levels(sigmas))
    total = len(sigma_list) - 1
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        if sigma_next == 0.0:
            return denoised
        inner = schedule.level_between(sigma, sigma_next, r)
        ahead = _noisy_step(schedule, x, denoised, (sigma, inner), eta, s_noise, noise_sampler)
        share = 1.0 / (2.0 * r)
        average = (1.0 - share) * denoised + share * denoiser(ahead, inner)
        x = _noisy_step(schedule, x, average, (sigma, sigma_next), eta, s_noise, noise_sampler)
    return x


def _noisy_step(
    schedule: NoiseSchedule,
    x: Tensor,
    denoised: Tensor,
    span: tuple[float, float],
    eta: float,
    s_noise: float,
    noise_sampler: NoiseSampler,
) -> Tensor:
    """Go over `span` in the variance-exploding picture x / alpha, split as an ancestral step there."""
    sigma, sigma_next = span
    alpha, alpha_next = schedule.alpha(sigma), schedule.alpha(sigma_next)
    ratio, ratio_next = sigma / alpha, sigma_next / alpha_next
    down, up = plain_split(ratio, ratio_next, eta)
    keep = down / ratio
    x = (alpha_next / alpha * keep) * x + (alpha_next * (1.0 - keep)) * denoised
    if eta > 0.0 and s_noise > 0.0:
        x = x + noise_sampler(sigma, sigma_next) * (alpha_next * s_noise * up)
    return x


def dpmpp_2m(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
) -> Tensor:
    """DPM-Solver++(2M) (algorithm 2): the last two predictions extrapolated. x: (B, C, h, w); sigmas: (n + 1,)."""
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    old: Tensor | None = None
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        if old is None or sigma_next == 0.0:
            x = lerp_to(x, denoised, sigma_next / sigma)
        else:
            r = math.log(sigma_list[i - 1] / sigma) / math.log(sigma / sigma_next)
            x = lerp_to(x, denoised + (denoised - old) / (2.0 * r), sigma_next / sigma)
        old = denoised
    return x


def dpmpp_2m_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: str = "midpoint",
) -> Tensor:
    """SDE-DPM-Solver++(2M) (Lu et al. 2022b, eq. 19 and appendix B); `solver_type` is `midpoint` or `heun`.

    x: (B, C, h, w); sigmas: (n + 1,). Raises ValueError for another solver type.
    """
    if solver_type not in ("midpoint", "heun"):
        raise ValueError(f"dpmpp_2m_sde: solver_type: expected 'midpoint' or 'heun', got {solver_type!r}")
    sigma_list = schedule.clear_of_infinity(levels(sigmas))
    total = len(sigma_list) - 1
    old: Tensor | None = None
    h_last = 0.0
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        if sigma_next == 0.0:
            return denoised
        h = schedule.half_log_snr(sigma_next) - schedule.half_log_snr(sigma)
        share = downward(eta, sigma, sigma_next)
        x = _sde_first_order(schedule, x, denoised, (sigma, sigma_next), share)
        if old is not None:
            h_eta = h * (1.0 + share)
            growth = -math.expm1(-h_eta)
            weight = 0.5 * growth if solver_type == "midpoint" else 1.0 - growth / h_eta
            x = x + (denoised - old) * (schedule.alpha(sigma_next) * weight * h / h_last)
        x = _sde_noise(schedule, x, (sigma, sigma_next), share, s_noise, noise_sampler)
        old, h_last = denoised, h
    return x


def dpmpp_2m_sde_heun(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: str = "heun",
) -> Tensor:
    """dpmpp_2m_sde with the prediction's linear part integrated exactly. x: (B, C, h, w); sigmas: (n + 1,)."""
    return dpmpp_2m_sde(
        denoiser,
        x,
        sigmas,
        schedule=schedule,
        noise_sampler=noise_sampler,
        callback=callback,
        eta=eta,
        s_noise=s_noise,
        solver_type=solver_type,
    )


def dpmpp_3m_sde(
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
    """The third-order multistep form of the same SDE (k-diffusion's DPM-Solver++(3M) SDE). x: (B, C, h, w)."""
    sigma_list = schedule.clear_of_infinity(levels(sigmas))
    total = len(sigma_list) - 1
    past: list[Tensor] = []
    steps: list[float] = []
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        if sigma_next == 0.0:
            return denoised
        h = schedule.half_log_snr(sigma_next) - schedule.half_log_snr(sigma)
        share = downward(eta, sigma, sigma_next)
        x = _sde_first_order(schedule, x, denoised, (sigma, sigma_next), share)
        correction = _third_order_correction(denoised, past, h, steps, share)
        if correction is not None:
            x = x + correction * schedule.alpha(sigma_next)
        x = _sde_noise(schedule, x, (sigma, sigma_next), share, s_noise, noise_sampler)
        past, steps = [denoised, *past[:1]], [h, *steps[:1]]
    return x


def _third_order_correction(
    denoised: Tensor, past: list[Tensor], h: float, steps: list[float], eta: float
) -> Tensor | None:
    """Integrate the linear and quadratic parts of the prediction's Newton polynomial in lambda over the step."""
    if not past:
        return None
    h_eta = h * (1.0 + eta)
    phi_2 = math.expm1(-h_eta) / h_eta + 1.0
    r0 = steps[0] / h
    slope = (denoised - past[0]) / r0
    if len(past) == 1:
        return slope * phi_2
    r1 = steps[1] / h
    bend = (slope - (past[0] - past[1]) / r1) / (r0 + r1)
    phi_3 = phi_2 / h_eta - 0.5
    return (slope + bend * r0) * phi_2 - bend * phi_3


def _sde_first_order(
    schedule: NoiseSchedule, x: Tensor, denoised: Tensor, span: tuple[float, float], eta: float
) -> Tensor:
    """The part of a step that is linear in one prediction, for an SDE with `eta` times the reverse process's noise."""
    sigma, sigma_next = span
    h = schedule.half_log_snr(sigma_next) - schedule.half_log_snr(sigma)
    keep = sigma_next / sigma * math.exp(-h * eta)
    return keep * x + (schedule.alpha(sigma_next) * -math.expm1(-h * (1.0 + eta))) * denoised


def _sde_noise(
    schedule: NoiseSchedule,
    x: Tensor,
    span: tuple[float, float],
    eta: float,
    s_noise: float,
    noise_sampler: NoiseSampler,
) -> Tensor:
    if eta <= 0.0 or s_noise <= 0.0:
        return x
    sigma, sigma_next = span
    h = schedule.half_log_snr(sigma_next) - schedule.half_log_snr(sigma)
    return x + noise_sampler(sigma, sigma_next) * (sigma_next * math.sqrt(-math.expm1(-2.0 * h * eta)) * s_noise)
