"""CFG++ (Chung et al. 2024): the step goes to the guided prediction, and adds noise of the unconditional one's slope.

With x_g the guided and x_u the unconditional prediction, DDIM's step is x_g + sigma_next (x - x_u) / sigma: guidance moves
the picture and leaves the noise on its manifold. Where guidance is off the two still differ, so cfg 1 is no plain sampler;
without an unconditional prediction it is. Of the samplers here only Euler's knows a flow's signal share.
"""

from __future__ import annotations

import math

from torch import Tensor

from engine.sampling.denoisers import Denoiser, branches
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.euler import euler
from engine.sampling.samplers.exponential import multistep_weights
from engine.sampling.samplers.steps import Callback, StepInfo, levels, plain_split, silent


def euler_cfg_pp(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    alternative: bool = False,
) -> Tensor:
    """DDIM under CFG++ (algorithm 1), in the variance-exploding form or a flow's. x: (B, C, h, w); sigmas: (n + 1,).

    `alternative`: Euler's steps towards 2 x_g - x_u in its place, in either form.
    """
    if alternative:
        return euler(_Beyond(denoiser), x, sigmas, schedule=schedule, noise_sampler=noise_sampler, callback=callback)
    return euler_ancestral_cfg_pp(
        denoiser,
        x,
        sigmas,
        schedule=schedule,
        noise_sampler=noise_sampler,
        callback=callback,
        eta=0.0,
    )


class _Beyond:
    """A denoiser that goes on from the unconditional prediction through the guided one, as far again."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        guided, unconditional = branches(self._denoiser, x, sigma)
        return 2.0 * guided - unconditional


def euler_ancestral_cfg_pp(
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
    """euler_cfg_pp to a lower level of x / alpha, then fresh noise (Song et al. 2020, DDIM with noise). x: (B, C, h, w)."""
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised, unconditional = branches(denoiser, x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        if sigma_next == 0.0:
            x = denoised
            continue
        alpha, alpha_next = schedule.alpha(sigma), schedule.alpha(sigma_next)
        slope = (x - alpha * unconditional) / sigma
        if alpha_next <= 0.0:  # a flipped flow's last level: noise alone
            x = sigma_next * slope
            continue
        down, up = plain_split(sigma / alpha if alpha > 0.0 else math.inf, sigma_next / alpha_next, eta)
        x = alpha_next * (denoised + down * slope)
        if up > 0.0 and s_noise > 0.0:
            x = x + noise_sampler(sigma, sigma_next) * (alpha_next * up * s_noise)
    return x


def dpmpp_2s_ancestral_cfg_pp(
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
    """DPM-Solver++(2S) under CFG++, then fresh noise, with no variant for flows. x: (B, C, h, w); sigmas: (n + 1,).

    Both halves start from x + x_g - x_u, the point that has its noise along the unconditional slope. The second takes x_g
    of the first evaluation and x_u of the second, as the field does.
    """
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised, unconditional = branches(denoiser, x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        down, up = plain_split(sigma, sigma_next, eta)
        if down == 0.0:
            x = denoised
        else:
            keep = math.sqrt(down / sigma)
            middle = keep * (x + denoised - unconditional) + (1.0 - keep) * denoised
            denoised_2, unconditional_2 = branches(denoiser, middle, keep * sigma)
            keep = down / sigma
            x = keep * (x + denoised - unconditional_2) + (1.0 - keep) * denoised_2
        if up > 0.0:
            x = x + noise_sampler(sigma, sigma_next) * (s_noise * up)
    return x


def dpmpp_2m_cfg_pp(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
) -> Tensor:
    """DPM-Solver++(2M) under CFG++: the extrapolation is from the last unconditional prediction to the guided one.

    x: (B, C, h, w); sigmas: (n + 1,).
    """
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    old: Tensor | None = None
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised, unconditional = branches(denoiser, x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        keep = sigma_next / sigma
        x = denoised + keep * (x - unconditional)
        if old is not None and sigma_next > 0.0:
            r = math.log(sigma_list[i - 1] / sigma) / math.log(sigma / sigma_next)
            x = x + (denoised - old) * ((1.0 - keep) / (2.0 * r))
        old = unconditional
    return x


def res_multistep_cfg_pp(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Tensor:
    """res_multistep under CFG++: it extrapolates the unconditional prediction, from x + x_g - x_u. x: (B, C, h, w)."""
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    old: Tensor | None = None
    old_down = 0.0
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised, unconditional = branches(denoiser, x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        down, up = plain_split(sigma, sigma_next, eta)
        if old is None or down == 0.0:
            x = denoised + (x - unconditional) * (down / sigma)
        else:
            new_weight, old_weight = multistep_weights(sigma_list[i - 1], old_down, sigma, down)
            x = (down / sigma) * (x + denoised - unconditional) + new_weight * unconditional + old_weight * old
        if up > 0.0:
            x = x + noise_sampler(sigma, sigma_next) * (s_noise * up)
        old, old_down = unconditional, down
    return x


def res_multistep_ancestral_cfg_pp(
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
    """res_multistep_cfg_pp with fresh noise. x: (B, C, h, w); sigmas: (n + 1,)."""
    return res_multistep_cfg_pp(
        denoiser,
        x,
        sigmas,
        schedule=schedule,
        noise_sampler=noise_sampler,
        callback=callback,
        eta=eta,
        s_noise=s_noise,
    )


def gradient_estimation_cfg_pp(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    ge_gamma: float = 2.0,
) -> Tensor:
    """euler_cfg_pp in the variance-exploding form, with (gamma - 1) times the slope's change added. x: (B, C, h, w)."""
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    previous: Tensor | None = None
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised, unconditional = branches(denoiser, x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        slope = (x - unconditional) / sigma
        x = denoised + slope * sigma_next
        if previous is not None and sigma_next > 0.0:
            x = x + (slope - previous) * ((ge_gamma - 1.0) * (sigma_next - sigma))
        previous = slope
    return x
