"""DPM-Solver (Lu et al. 2022): exponential integrators of order 1 to 3 in t = -log sigma, slope in noise form.

Both samplers end at the last level above zero and return x there; a run without a way between two levels (one step to
zero) returns the prediction. Without noise they also run upwards, from a picture to its noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.sampling.denoisers import Denoiser
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import Callback, StepInfo, levels, plain_split, silent

Slopes = Callable[[float, Tensor], Tensor]
"""`(t, x) -> (x - x_0) / sigma`."""


def dpm_fast(
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
    """DPM-Solver-fast: as many evaluations as there are levels, in steps of order 3 even in log sigma, then 2 or 1.

    Of `sigmas` (n + 1,) only the first, the last above zero and the number count. x: (B, C, h, w).
    """
    sigma_list = levels(sigmas)
    evaluations, start, end = len(sigma_list) - 1, _t(sigma_list[0]), _t(_last_above_zero(sigma_list))
    orders = _orders(evaluations) if end != start else [1]
    eta = eta if end > start else 0.0
    times = [start + (end - start) * i / len(orders) for i in range(len(orders) + 1)]
    for i, order in enumerate(orders):
        t, t_next = times[i], times[i + 1]
        down, up = _split(t, t_next, end, eta)
        slope, denoised = _first_slope(denoiser, x, t)
        callback(StepInfo(i, len(orders), x, denoised, math.exp(-t)))
        if end == start:
            return denoised
        x = _STEPS[order - 1](_slopes(denoiser), x, t, down, slope)[0]
        if up > 0.0:
            x = x + noise_sampler(math.exp(-t), math.exp(-t_next)) * (s_noise * up)
    return x


def dpm_adaptive(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-12 or -23 (`order` 2 or 3): the step size follows the difference of two orders, under a PID controller.

    Of `sigmas` (n + 1,) only the first and the last above zero count. The callback's `total` is a bound that grows when
    steps are refused. x: (B, C, h, w). Raises ValueError for another order.
    """
    if order not in (2, 3):
        raise ValueError(f"dpm_adaptive: order: expected 2 or 3, got {order}")
    sigma_list = levels(sigmas)
    t, end = _t(sigma_list[0]), _t(_last_above_zero(sigma_list))
    low_step, high_step = (_order_1, _order_2) if order == 2 else (_order_2_for_3, _order_3)
    way, eta = (1.0, eta) if end > t else (-1.0, 0.0)
    control = _StepSize(h_init * way, pcoeff, icoeff, dcoeff, order if eta == 0.0 else 1.5, accept_safety)
    before, taken = x, 0
    if end == t:
        return denoiser(x, sigma_list[0])
    while (end - t) * way > 1e-5:
        t_next = min(t + control.h, end) if way > 0.0 else max(t + control.h, end)
        down, up = _split(t, t_next, end, eta)
        slope, denoised = _first_slope(denoiser, x, t)
        callback(StepInfo(taken, taken + 1 + math.ceil((end - t_next) / control.h), x, denoised, math.exp(-t)))
        low, shared = low_step(_slopes(denoiser), x, t, down, slope)
        high, _ = high_step(_slopes(denoiser), x, t, down, slope, shared)
        error = _difference(low, high, before, rtol, atol)
        if control.accept(error):
            before, x = low, high
            if up > 0.0:
                x = x + noise_sampler(math.exp(-t), math.exp(-t_next)) * (s_noise * up)
            t = t_next
        taken += 1
    return x


@dataclass
class _StepSize:
    """A PID controller of the step size (Söderlind 2003; as used for diffusion by Lu et al. 2022, algorithm 4)."""

    h: float
    pcoeff: float
    icoeff: float
    dcoeff: float
    order: float
    accept_safety: float
    errors: tuple[float, float, float] | None = None

    def accept(self, error: float) -> bool:
        inverse = 1.0 / (error + 1e-8)
        past = self.errors or (inverse, inverse, inverse)
        past = (inverse, past[1], past[2])
        order = self.order
        factor = past[0] ** ((self.pcoeff + self.icoeff + self.dcoeff) / order)
        factor *= past[1] ** (-(self.pcoeff + 2.0 * self.dcoeff) / order) * past[2] ** (self.dcoeff / order)
        factor = 1.0 + math.atan(factor - 1.0)  # keeps one step from growing or shrinking wildly
        accepted = factor >= self.accept_safety
        self.errors = (past[0], past[0], past[1]) if accepted else past
        self.h *= factor
        return accepted


def _difference(low: Tensor, high: Tensor, before: Tensor, rtol: float, atol: float) -> float:
    scale = torch.maximum(low.abs(), before.abs()).mul_(rtol).clamp_(min=atol)
    return float(torch.linalg.vector_norm((low - high) / scale)) / math.sqrt(low.numel())


def _orders(evaluations: int) -> list[int]:
    thirds, rest = divmod(evaluations, 3)
    return [3] * (thirds - 1) + [2, 1] if rest == 0 else [3] * thirds + [rest]


def _t(sigma: float) -> float:
    return -math.log(sigma)


def _last_above_zero(sigmas: list[float]) -> float:
    return sigmas[-1] if sigmas[-1] > 0.0 else sigmas[-2]


def _split(t: float, t_next: float, end: float, eta: float) -> tuple[float, float]:
    """Return (t to denoise to, spread of the noise to come back with); Song et al. 2020b, none past the last level."""
    if eta == 0.0:
        return t_next, 0.0
    sigma, sigma_next = math.exp(-t), math.exp(-t_next)
    down, _ = plain_split(sigma, sigma_next, eta)
    t_down = min(end, _t(down)) if down > 0.0 else end
    return t_down, math.sqrt(max(sigma_next**2 - math.exp(-2.0 * t_down), 0.0))


def _slopes(denoiser: Denoiser) -> Slopes:
    return lambda t, x: _first_slope(denoiser, x, t)[0]


def _first_slope(denoiser: Denoiser, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
    denoised = denoiser(x, math.exp(-t))
    return (x - denoised) / math.exp(-t), denoised


Step = Callable[..., tuple[Tensor, tuple[float, Tensor] | None]]
"""`(slopes, x, t, t_next, first slope, shared) -> (x at t_next, the inner slope to share with the next order)`."""


def _order_1(
    slopes: Slopes, x: Tensor, t: float, t_next: float, first: Tensor, shared: tuple[float, Tensor] | None = None
) -> tuple[Tensor, tuple[float, Tensor] | None]:
    return x - first * (math.exp(-t_next) * math.expm1(t_next - t)), None


def _order_2(
    slopes: Slopes, x: Tensor, t: float, t_next: float, first: Tensor, shared: tuple[float, Tensor] | None = None
) -> tuple[Tensor, tuple[float, Tensor] | None]:
    """DPM-Solver-2 (Lu et al. 2022, algorithm 1), inner point at 1/2, or 1/3 so that order 3 can use it too."""
    return _order_2_at(slopes, x, t, t_next, first, 0.5)


def _order_2_at(
    slopes: Slopes, x: Tensor, t: float, t_next: float, first: Tensor, r: float
) -> tuple[Tensor, tuple[float, Tensor] | None]:
    h = t_next - t
    inner = t + r * h
    second = slopes(inner, x - first * (math.exp(-inner) * math.expm1(r * h)))
    growth = math.exp(-t_next) * math.expm1(h)
    return x - first * growth - (second - first) * (growth / (2.0 * r)), (r, second)


def _order_3(
    slopes: Slopes, x: Tensor, t: float, t_next: float, first: Tensor, shared: tuple[float, Tensor] | None = None
) -> tuple[Tensor, tuple[float, Tensor] | None]:
    """DPM-Solver-3 (Lu et al. 2022, algorithm 2) with inner points at 1/3 and 2/3."""
    h, r1, r2 = t_next - t, 1.0 / 3.0, 2.0 / 3.0
    second = shared[1] if shared else slopes(t + r1 * h, x - first * (math.exp(-t - r1 * h) * math.expm1(r1 * h)))
    inner = t + r2 * h
    at = x - first * (math.exp(-inner) * math.expm1(r2 * h))
    third = slopes(inner, at - (second - first) * (math.exp(-inner) * r2 / r1 * (math.expm1(r2 * h) / (r2 * h) - 1.0)))
    x = x - first * (math.exp(-t_next) * math.expm1(h))
    return x - (third - first) * (math.exp(-t_next) / r2 * (math.expm1(h) / h - 1.0)), None


def _order_2_for_3(
    slopes: Slopes, x: Tensor, t: float, t_next: float, first: Tensor, shared: tuple[float, Tensor] | None = None
) -> tuple[Tensor, tuple[float, Tensor] | None]:
    return _order_2_at(slopes, x, t, t_next, first, 1.0 / 3.0)


_STEPS: tuple[Step, ...] = (_order_1, _order_2, _order_3)
