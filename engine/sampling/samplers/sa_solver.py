"""SA-Solver (Xue et al. 2023): a stochastic Adams predictor and corrector, in data prediction.

The prediction is a polynomial in lambda = log(alpha / sigma) through the last ones, integrated against the weight of an SDE
whose noise is tau times that of the reverse process. The corrector goes over the same step again, with the same noise,
through the prediction at its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from engine.sampling.denoisers import Denoiser
from engine.sampling.noise import NoiseSampler
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import Callback, StepInfo, downward, levels, silent

# Where noise is added: the middle of the run, in shares of the timesteps that are behind.
_NOISY = (0.2, 0.8)


def sa_solver(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    eta: float = 1.0,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
    pece: bool = False,
    noisy_from: float | None = None,
    noisy_to: float | None = None,
    simple_order_2: bool = False,
) -> Tensor:
    """SA-Solver (algorithm 1); tau is `eta` to levels between 20 and 80 per cent of the timesteps, and 0 to others.

    `noisy_from` and `noisy_to` are other levels to add noise between, the upper one first. A `corrector_order` of 0 corrects
    nothing. `simple_order_2`: at two predictions the slope is integrated without the weight of the SDE, as the paper's authors
    do for few steps. Where the run ends in zero, orders fall towards it: the last step is the prediction. With `pece` the
    network is evaluated again after each correction, otherwise the last state is not corrected. x: (B, C, h, w); sigmas:
    (n + 1,).
    """
    sigma_list = schedule.clear_of_infinity(levels(sigmas))
    total = len(sigma_list) - 1
    ends_in_zero = sigma_list[-1] == 0.0
    usual = [schedule.percent_to_sigma(percent) for percent in _NOISY]
    highest, lowest = (told if told is not None else level for told, level in zip((noisy_from, noisy_to), usual))
    past: list[Tensor] = []  # newest first
    step: _AdamsStep | None = None
    predicted = x
    for i in range(total):
        sigma, sigma_next = sigma_list[i], sigma_list[i + 1]
        denoised = denoiser(predicted, sigma)
        callback(StepInfo(i, total, predicted, denoised, sigma))
        past = [denoised, *past[: max(predictor_order, corrector_order) - 1]]
        x = predicted
        if step is not None and corrector_order > 0 and (pece or sigma_next > 0.0):
            order = min(corrector_order, len(past), total - i if ends_in_zero else corrector_order)
            x = step.to_end(past[:order], sigma_list[i - order + 1 : i + 1])
            if pece:
                denoised = past[0] = denoiser(x, sigma)
        if sigma_next == 0.0:
            return denoised
        order = min(predictor_order, len(past), total - 1 - i if ends_in_zero else predictor_order)
        tau = downward(eta, sigma, sigma_next) if lowest <= sigma_next <= highest else 0.0
        step = _AdamsStep(schedule, x, (sigma, sigma_next), tau, s_noise, noise_sampler, simple_order_2)
        predicted = step.to_end(past[:order], sigma_list[i - order + 1 : i + 1])
    return predicted


def sa_solver_pece(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    schedule: NoiseSchedule,
    noise_sampler: NoiseSampler,
    callback: Callback = silent,
    eta: float = 1.0,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
) -> Tensor:
    """sa_solver that evaluates again after each correction: predict, evaluate, correct, evaluate. x: (B, C, h, w)."""
    return sa_solver(
        denoiser,
        x,
        sigmas,
        schedule=schedule,
        noise_sampler=noise_sampler,
        callback=callback,
        eta=eta,
        s_noise=s_noise,
        predictor_order=predictor_order,
        corrector_order=corrector_order,
        pece=True,
    )


class _AdamsStep:
    """One step of the SDE from x at span[0] to span[1], with its noise drawn once."""

    def __init__(
        self,
        schedule: NoiseSchedule,
        x: Tensor,
        span: tuple[float, float],
        tau: float,
        s_noise: float,
        noise_sampler: NoiseSampler,
        simple_order_2: bool,
    ):
        sigma, sigma_next = span
        self._simple = simple_order_2
        self._schedule, self._span, self._rate = schedule, span, 1.0 + tau * tau
        h = schedule.half_log_snr(sigma_next) - schedule.half_log_snr(sigma)
        self._kept = (sigma_next / sigma * math.exp(-tau * tau * h)) * x
        if tau > 0.0 and s_noise > 0.0:
            spread = sigma_next * math.sqrt(-math.expm1(-2.0 * tau * tau * h)) * s_noise
            self._kept = self._kept + noise_sampler(sigma, sigma_next) * spread

    def to_end(self, predictions: Sequence[Tensor], at: Sequence[float]) -> Tensor:
        """Return x at the end of the step for predictions, newest first, at noise levels `at`, oldest first."""
        start, end, *nodes = (self._schedule.half_log_snr(sigma) for sigma in (*self._span, *at[::-1]))
        weights = _integrals(np.array(nodes) - end, end - start, self._rate)
        if self._simple and len(nodes) == 2:
            weights = _simpler(np.array(nodes) - end, end - start, self._rate)
        x, alpha = self._kept, self._schedule.alpha(self._span[1])
        for prediction, weight in zip(predictions, weights, strict=True):
            x = x + prediction * (alpha * float(weight))
        return x


def _integrals(nodes: np.ndarray, h: float, rate: float) -> np.ndarray:
    """Integrate rate exp(rate v) times each Lagrange polynomial on `nodes` over v from -h to 0.

    Powers of v have closed integrals, each by parts from the one below; the polynomials are combinations of them.
    """
    powers = [-math.expm1(-rate * h)]
    for p in range(1, len(nodes)):
        powers.append(-((-h) ** p) * math.exp(-rate * h) - p / rate * powers[-1])
    return np.asarray(np.linalg.solve(np.vander(nodes, increasing=True).T, np.array(powers)))


def _simpler(nodes: np.ndarray, h: float, rate: float) -> np.ndarray:
    """The same for two nodes with the integral of rate (v + h) in the place of that of rate (v + h) exp(rate v).

    A line through both predictions is its value at the step's start plus a slope times v + h.
    """
    start_weights = np.array([-h - nodes[1], nodes[0] + h]) / (nodes[0] - nodes[1])
    slope = np.array([1.0, -1.0]) / (nodes[0] - nodes[1])
    return np.asarray(-math.expm1(-rate * h) * start_weights + rate * h * h / 2.0 * slope)
