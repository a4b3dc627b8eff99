"""SEEDS (Gonzalez et al. 2023): explicit exponential Runge-Kutta steps of the diffusion SDE, in data prediction.

Between lambda = log(alpha / sigma) of a step's ends the prediction is integrated against exp((1 + eta) lambda), and the noise
of each stage is that of one path: what a stage drew comes back, damped, in the ones after it.
"""

from __future__ import annotations

import math

from torch import Tensor

from engine.sampling.denoisers import Denoiser
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import Callback, StepInfo, downward, levels, silent


def seeds_2(
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
    solver_type: str = "phi_1",
) -> Tensor:
    """SEEDS-2 (algorithm 2): one inner point at `r` of the step. x: (B, C, h, w); sigmas: (n + 1,).

    `solver_type` "phi_1": the prediction in the middle of the step, extrapolated, counts all along it. "phi_2": the line
    through both predictions is integrated, at `r` 1 the exponential Heun method.
    """
    sigma_list = schedule.clear_of_infinity(levels(sigmas))
    total = len(sigma_list) - 1
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        if sigma_next == 0.0:
            return denoised
        step = _Step(schedule, x, (sigma, sigma_next), eta, s_noise, noise_sampler)
        denoised_2 = denoiser(step.to(r, denoised), step.level(r))
        change = (denoised_2 - denoised) / r
        x = step.to(1.0, denoised, change) if solver_type == "phi_2" else step.to(1.0, denoised + change / 2.0)
    return x


def seeds_3(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r_1: float = 1.0 / 3.0,
    r_2: float = 2.0 / 3.0,
) -> Tensor:
    """SEEDS-3 (algorithm 3): inner points at `r_1` and `r_2` of the step. x: (B, C, h, w); sigmas: (n + 1,)."""
    sigma_list = schedule.clear_of_infinity(levels(sigmas))
    total = len(sigma_list) - 1
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        if sigma_next == 0.0:
            return denoised
        step = _Step(schedule, x, (sigma, sigma_next), eta, s_noise, noise_sampler)
        change = denoiser(step.to(r_1, denoised), step.level(r_1)) - denoised
        change = denoiser(step.to(r_2, denoised, change / r_1), step.level(r_2)) - denoised
        x = step.to(1.0, denoised, change / r_2)
    return x


class _Step:
    """One step of the SDE from x at span[0] to span[1], gone through in stages from its start."""

    def __init__(
        self,
        schedule: NoiseSchedule,
        x: Tensor,
        span: tuple[float, float],
        eta: float,
        s_noise: float,
        noise_sampler: NoiseSampler,
    ):
        self._schedule, self._x, self._span, self._s_noise, self._draw = schedule, x, span, s_noise, noise_sampler
        self._eta = downward(eta, *span)
        self._h = schedule.half_log_snr(span[1]) - schedule.half_log_snr(span[0])
        self._at, self._noise = 0.0, None if self._eta == 0.0 or s_noise == 0.0 else x.new_zeros(())

    def level(self, share: float) -> float:
        """Return the noise level at `share` (0..1) of the step in log SNR."""
        return self._span[1] if share == 1.0 else self._schedule.level_between(*self._span, share)

    def to(self, share: float, constant: Tensor, slope: Tensor | None = None) -> Tensor:
        """Return x at `share` of the step, for a prediction `constant` + `slope` * (share of the step gone)."""
        sigma = self.level(share)
        h = self._h * share
        h_eta = h * (1.0 + self._eta)
        growth = -math.expm1(-h_eta)
        alpha = self._schedule.alpha(sigma)
        x = (sigma / self._span[0] * math.exp(-h * self._eta)) * self._x + (alpha * growth) * constant
        if slope is not None:
            x = x + (alpha * (1.0 - growth / h_eta) * share) * slope
        return x if self._noise is None else x + self._noise_at(share, sigma) * (sigma * self._s_noise)

    def _noise_at(self, share: float, sigma: float) -> Tensor:
        """Go on with the step's noise from the last stage to this one, and return it at unit variance of a full path."""
        assert self._noise is not None
        passed = self._h * self._eta * (share - self._at)
        fresh = self._draw(self.level(self._at) if self._at else self._span[0], sigma)
        self._noise = self._noise * math.exp(-passed) + fresh * math.sqrt(-math.expm1(-2.0 * passed))
        self._at = share
        return self._noise
