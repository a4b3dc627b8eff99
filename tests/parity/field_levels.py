"""The field's noise levels by name, as formulas of their own: nothing here comes from the engine.

Stable Diffusion 1's noise process: 1,000 timesteps, betas even in their square root from 0.00085 to 0.012. They are
computed in single precision, step by step as the field does, since a Brownian path tells levels apart that differ in the
last bit; a level between two timesteps is found by interpolating log sigma.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import stats

BETAS = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
ABAR = np.cumprod(1 - BETAS)
EXACT = np.sqrt((1 - ABAR) / ABAR)
TABLE, LOG_TABLE = torch.tensor(EXACT, dtype=torch.float32), torch.tensor(np.log(EXACT), dtype=torch.float32)
LARGEST, SMALLEST = float(TABLE[-1]), float(TABLE[0])

TAKE_ONE_MORE = {"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"}
"""Samplers whose runs leave out the level before zero of a schedule that is one step longer."""


def sigma_of(timestep: float) -> float:
    """The level at a timestep 0..999, log sigma being linear between two."""
    time = torch.tensor(timestep, dtype=torch.float32).clamp(0, 999)
    low, high, weight = int(time.floor()), int(time.ceil()), time.frac()
    return float(((1 - weight) * LOG_TABLE[low] + weight * LOG_TABLE[high]).exp())


def timestep_of(sigma: float) -> int:
    """The trained timestep nearest in log sigma: what the network is told. The first of two that are equally near."""
    return int((torch.tensor(sigma, dtype=torch.float32).log() - LOG_TABLE).abs().argmin())


def levels(scheduler: str, steps: int, sampler: str = "euler") -> list[float]:
    """The levels of a run, the last one 0, as KSampler asks for them."""
    if sampler in TAKE_ONE_MORE:
        longer = SCHEDULES[scheduler](steps + 1)
        return [*longer[:-2], longer[-1]]
    return SCHEDULES[scheduler](steps)


def simple(steps: int) -> list[float]:
    return [float(TABLE[999 - int(at * 1000 / steps)]) for at in range(steps)] + [0.0]


def ddim_uniform(steps: int) -> list[float]:
    taken = range(1, 1000, max(1000 // steps, 1))
    return [float(TABLE[at]) for at in reversed(taken)] + [0.0]


def normal(steps: int) -> list[float]:
    return [sigma_of(float(t)) for t in torch.linspace(999, 0, steps)] + [0.0]


def sgm_uniform(steps: int) -> list[float]:
    return [sigma_of(float(t)) for t in torch.linspace(999, 0, steps + 1)[:-1]] + [0.0]


def karras(steps: int) -> list[float]:
    ramp = torch.linspace(0, 1, steps)
    high, low = LARGEST ** (1 / 7), SMALLEST ** (1 / 7)
    return [*((high + ramp * (low - high)) ** 7).tolist(), 0.0]


def exponential(steps: int) -> list[float]:
    return [*torch.linspace(math.log(LARGEST), math.log(SMALLEST), steps).exp().tolist(), 0.0]


def beta(steps: int) -> list[float]:
    at = np.rint(stats.beta.ppf(1 - np.arange(steps) / steps, 0.6, 0.6) * 999).astype(int)
    return [float(TABLE[one]) for one in dict.fromkeys(at.tolist())] + [0.0]


def linear_quadratic(steps: int) -> list[float]:
    if steps == 1:
        return [LARGEST, 0.0]
    linear, threshold = steps // 2, 0.025
    falls = [at * threshold / linear for at in range(linear)]
    rest, gap = steps - linear, linear - threshold * steps
    square, slope = gap / (linear * rest**2), threshold / linear - 2 * gap / rest**2
    falls += [square * at**2 + slope * at + square * linear**2 for at in range(linear, steps)]
    return [*(torch.tensor([1 - fall for fall in falls]) * TABLE[-1]).tolist(), 0.0]


def kl_optimal(steps: int) -> list[float]:
    # One step is 0 / 0 in the field, and its pictures are not numbers: here it begins at the largest level.
    ramp = torch.arange(steps, dtype=torch.float32) / max(steps - 1, 1)
    return [*(ramp * math.atan(SMALLEST) + (1 - ramp) * math.atan(LARGEST)).tan().tolist(), 0.0]


SCHEDULES = {
    function.__name__: function
    for function in (
        simple,
        sgm_uniform,
        karras,
        exponential,
        ddim_uniform,
        beta,
        normal,
        linear_quadratic,
        kl_optimal,
    )
}
