"""Newer exponential integrators: the refined exponential solver and the extended reverse-time SDE solver."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from torch import Tensor

from engine.sampling.denoisers import Denoiser
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import Callback, StepInfo, lerp_to, levels, plain_split, silent


def res_multistep(
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
    """Second-order multistep exponential integrator in t = -log sigma (Zhang et al. 2023, refined exponential solver).

    The prediction is taken as linear in t through the last two. `eta` > 0 adds fresh noise; of that there is no variant for
    flows. x: (B, C, h, w); sigmas: (n + 1,).
    """
    sigma_list = levels(sigmas)
    total = len(sigma_list) - 1
    old: Tensor | None = None
    old_down = 0.0
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        down, up = plain_split(sigma, sigma_next, eta)
        if old is None or down == 0.0:
            x = lerp_to(x, denoised, down / sigma)
        else:
            new_weight, old_weight = multistep_weights(sigma_list[i - 1], old_down, sigma, down)
            x = (down / sigma) * x + new_weight * denoised + old_weight * old
        if up > 0.0:
            x = x + noise_sampler(sigma, sigma_next) * (s_noise * up)
        old, old_down = denoised, down
    return x


def multistep_weights(before: float, led_to: float, sigma: float, down: float) -> tuple[float, float]:
    """Return the weights of the predictions at `sigma` and at the level `before` for a step from `sigma` to `down`.

    By phi functions of h = log(sigma / down) (Zhang et al. 2023, eq. 11). The old prediction counts as lying as far back as
    the level that its step led to, before it added noise.
    """
    h = math.log(sigma / down)
    back = math.log(led_to / before) / h
    phi_1 = -math.expm1(-h) / h
    phi_2 = (phi_1 - 1.0) / -h
    old_weight = phi_2 / back if back != 0.0 else 0.0
    return h * (phi_1 - old_weight), h * old_weight


def res_multistep_ancestral(
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
    """res_multistep with fresh noise. x: (B, C, h, w); sigmas: (n + 1,)."""
    return res_multistep(
        denoiser,
        x,
        sigmas,
        schedule=schedule,
        noise_sampler=noise_sampler,
        callback=callback,
        eta=eta,
        s_noise=s_noise,
    )


def er_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    s_noise: float = 1.0,
    max_stage: int = 3,
    solver_type: str = "ER-SDE",
    eta: float = 1.0,
) -> Tensor:
    """Extended reverse-time SDE solver (Cui et al. 2023, ER-SDE-Solver-3), by a scaling phi of u = sigma / alpha.

    "ER-SDE" has phi(u) = u (exp(eta u^0.3) + 10), "Reverse-time SDE" u^(1 + eta), and "ODE" u, which adds no noise; for `eta` 0
    all are that. x: (B, C, h, w); sigmas: (n + 1,).
    """
    phi = _scaling(solver_type, eta)
    sigma_list = schedule.clear_of_infinity(levels(sigmas))
    total = len(sigma_list) - 1
    u = [sigma / schedule.alpha(sigma) for sigma in sigma_list]
    old: Tensor | None = None
    old_slope: Tensor | None = None
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(x, sigma)
        callback(StepInfo(i, total, x, denoised, sigma))
        if sigma_next == 0.0:
            return denoised
        alpha_next, ratio = schedule.alpha(sigma_next), phi(u[i + 1]) / phi(u[i])
        x = (alpha_next / schedule.alpha(sigma) * ratio) * x + (alpha_next * (1.0 - ratio)) * denoised
        if old is not None and max_stage >= 2:
            linear, quadratic = _integrals(phi, u[i], u[i + 1])
            slope = (denoised - old) / (u[i] - u[i - 1])
            x = x + slope * (alpha_next * linear)
            if old_slope is not None and max_stage >= 3:
                bend = (slope - old_slope) / ((u[i] - u[i - 2]) / 2.0)
                x = x + bend * (alpha_next * quadratic)
            old_slope = slope
        if s_noise > 0.0:
            spread = math.sqrt(max(u[i + 1] ** 2 - (u[i] * ratio) ** 2, 0.0))
            x = x + noise_sampler(sigma, sigma_next) * (alpha_next * s_noise * spread)
        old = denoised
    return x


SOLVERS: Final = ("ER-SDE", "Reverse-time SDE", "ODE")


def _scaling(solver_type: str, eta: float) -> Callable[[Any], Any]:
    """The scaling phi of a solver, of a float or an array of them. That `eta` stands within the exponent is inferred."""
    if solver_type not in SOLVERS:
        raise ValueError(f"er_sde: there is no solver {solver_type!r}; there are {', '.join(SOLVERS)}")
    if solver_type == "ODE" or eta == 0.0:
        return lambda u: u
    if solver_type == "Reverse-time SDE":
        return lambda u: u ** (1.0 + eta)
    return lambda u: u * (np.exp(eta * u**0.3) + 10.0)


def _integrals(phi: Callable[[Any], Any], u: float, u_next: float) -> tuple[float, float]:
    """Return the weights of the prediction's slope and curvature over a step, by the left rule on 200 points as published."""
    width = (u - u_next) / 200
    points = u_next + width * np.arange(200)
    density = 1.0 / phi(points)
    dt = u_next - u
    linear = dt + float(np.sum(density)) * width * phi(u_next)
    quadratic = dt * dt / 2.0 + float(np.sum((points - u) * density)) * width * phi(u_next)
    return linear, quadratic
