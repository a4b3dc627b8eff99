"""Linear multistep samplers: one evaluation a step, past slopes extrapolated by a polynomial.

With slope d = (x - x_0) / sigma the step is x + integral of d over sigma, and the step to zero is the prediction itself.
The samplers differ in the variable that the polynomial through the last slopes is one in, and in the coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from engine.sampling.denoisers import Denoiser
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import Callback, StepInfo, levels, silent

Weights = Callable[[int, int], Sequence[float]]
"""`(step i, order) -> weights` of the slopes of steps i, i - 1, …; their sum is sigma_{i+1} - sigma_i."""

# Adams-Bashforth for even steps, newest slope first (Hairer, Nørsett & Wanner, Solving ODEs I, III.1).
_EVEN = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def lms(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    order: int = 4,
) -> Tensor:
    """Adams-Bashforth on the real levels: the slope is a polynomial in sigma. x: (B, C, h, w); sigmas: (n + 1,)."""
    sigma_list = levels(sigmas)
    return _multistep(denoiser, x, sigma_list, _in_sigma(sigma_list), order, callback)


def ipndm(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    max_order: int = 4,
) -> Tensor:
    """Adams-Bashforth with the coefficients for even steps whatever the levels (Liu et al. 2022, PNDM; warm-up from
    Zhang & Chen 2022). x: (B, C, h, w); sigmas: (n + 1,)."""
    sigma_list = levels(sigmas)

    def weights(i: int, order: int) -> list[float]:
        return [weight * (sigma_list[i + 1] - sigma_list[i]) for weight in _EVEN[order - 1]]

    return _multistep(denoiser, x, sigma_list, weights, max_order, callback)


def ipndm_v(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    max_order: int = 4,
) -> Tensor:
    """ipndm with coefficients that follow the step sizes, as the field has them: see `_for_uneven`. x: (B, C, h, w)."""
    sigma_list = levels(sigmas)
    return _multistep(denoiser, x, sigma_list, _for_uneven(sigma_list), min(max_order, 4), callback)


def deis(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    max_order: int = 3,
) -> Tensor:
    """tAB-DEIS (Zhang & Chen 2022, eq. 15): the slope is a polynomial in the time of the variance-preserving process.

    That time runs linearly in beta from sigma 0.002 at 0.001 to sigma 80 at 1. x: (B, C, h, w); sigmas: (n + 1,).
    """
    sigma_list = levels(sigmas)
    return _multistep(denoiser, x, sigma_list, _in_vp_time(sigma_list), max_order, callback)


def _multistep(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: list[float],
    weights: Weights,
    max_order: int,
    callback: Callback,
) -> Tensor:
    total = len(sigmas) - 1
    slopes: list[Tensor] = []
    for i in range(total):
        denoised = denoiser(x, sigmas[i])
        callback(StepInfo(i, total, x, denoised, sigmas[i]))
        if sigmas[i + 1] == 0.0:
            return denoised
        slopes = [(x - denoised) / sigmas[i], *slopes[: max_order - 1]]
        for slope, weight in zip(slopes, weights(i, len(slopes))):
            x = x + slope * weight
    return x


def _in_sigma(sigmas: list[float]) -> Weights:
    def weights(i: int, order: int) -> Sequence[float]:
        nodes = [sigmas[i - j] for j in range(order)]
        return _lagrange_integrals(nodes, sigmas[i], sigmas[i + 1], lambda sigma: sigma)

    return weights


def _for_uneven(sigmas: list[float]) -> Weights:
    """Weights in Newton's form: each order adds a multiple of the next divided difference of the slopes.

    Up to order 2, and where steps are even up to 3, they are Adams-Bashforth's. Beyond, the published coefficients (Zhou et
    al. 2024, iPNDM for variable steps) are not: a factor multiplies only one of two terms in the third order's, and the
    fourth order's adds where it should subtract. Workflows were tuned on these, so they are kept.
    """

    def weights(i: int, order: int) -> Sequence[float]:
        h, *past = (sigmas[i + 1 - j] - sigmas[i - j] for j in range(order))
        found = np.array([1.0, 0.0, 0.0, 0.0])
        if order >= 2:
            found[:2] += np.array([1.0, -1.0]) * (h / past[0] / 2.0)
        if order >= 3:
            reach = h * (h + past[0]) / (past[0] * (past[0] + past[1]))
            ratio = past[0] / past[1]
            found[:3] += np.array([1.0, -1.0 - ratio, ratio]) * (1.0 - h / (3.0 * (h + past[0])) * reach) / 2.0
        if order >= 4:
            nearer, farther = past[0] + past[1], past[1] + past[2]
            share = (1.0 - h / (3.0 * (h + past[0]))) / 2.0
            share += (1.0 - h / (2.0 * (h + past[0]))) * h / (6.0 * (h + nearer))
            share *= h * (h + past[0]) * (h + nearer) / (past[0] * nearer * (nearer + past[2]))
            fall = past[0] * nearer / (past[1] * farther)
            found += share * np.array(
                [1.0, -1.0 - ratio - fall, ratio + fall * (1.0 + past[1] / past[2]), -fall * ratio]
            )
        return [float(weight) * h for weight in found[:order]]

    return weights


def _in_vp_time(sigmas: list[float]) -> Weights:
    # Even betas in time (Song et al. 2021, appendix C): log(1 + sigma^2) = beta_d t^2 / 2 + beta_min t, fixed by two points.
    low, high, start = math.log1p(0.002**2), math.log1p(80.0**2), 1e-3
    beta_d = 2.0 * (low / start - high) / (start - 1.0)
    beta_min = high - beta_d / 2.0

    def time(sigma: np.ndarray) -> np.ndarray:
        return np.asarray((np.sqrt(beta_min**2 + 2.0 * beta_d * np.log1p(sigma**2)) - beta_min) / beta_d)

    def weights(i: int, order: int) -> Sequence[float]:
        nodes = [float(time(np.array(sigmas[i - j]))) for j in range(order)]
        return _lagrange_integrals(nodes, sigmas[i], sigmas[i + 1], time)

    return weights


def _lagrange_integrals(
    nodes: list[float], start: float, end: float, time: Callable[[np.ndarray], np.ndarray]
) -> list[float]:
    """Integrate each Lagrange basis polynomial in `time(sigma)` over sigma from `start` to `end` (Gauss-Legendre, 12)."""
    points, shares = np.polynomial.legendre.leggauss(12)
    half = (end - start) / 2.0
    at = time(start + half * (points + 1.0))
    bases = [np.prod([(at - other) / (node - other) for other in nodes if other != node], axis=0) for node in nodes]
    return [float(half * np.sum(shares * basis)) for basis in bases]
