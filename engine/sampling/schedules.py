"""Noise schedules: which noise levels a run visits. Each is (n + 1,) float32, falling, and ends in 0 where not said otherwise.

The functions of `(schedule, steps)` follow what the field's tools do with those names, to the bit, so that a saved workflow
visits the same levels: they compute in float32, in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from engine.datatypes.parameterization import Parameterization
from engine.sampling.names import BROUGHT_SCHEDULES, DISCARD_PENULTIMATE_SIGMA, known_sampler, known_scheduler
from engine.sampling.noise_schedule import NoiseSchedule

# Below this a level counts as zero, and needs no step of its own down to it.
_ZERO = 1e-5


_MOST_TOKENS = 4300
"""Of FLUX.2's latents, for which its shift was fitted at several numbers of steps."""


def compute_sigmas(
    source: NoiseSchedule | Parameterization,
    scheduler: str,
    steps: int,
    *,
    denoise: float = 1.0,
    sampler_name: str | None = None,
) -> Tensor:
    """Return the noise levels of a run, (steps + 1,).

    `denoise` 0..1 keeps the last part of a longer run of int(steps / denoise) steps; 0 gives no levels at all, shape
    (0,). With `sampler_name`, samplers of second order whose last step needs it skip the level before zero.

    Raises ValueError for an unknown name or fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}; raise the number of steps")
    if denoise <= 0.0:
        return torch.zeros(0)
    drop = sampler_name is not None and known_sampler(sampler_name) in DISCARD_PENULTIMATE_SIGMA
    total = steps if denoise > 0.9999 else int(steps / denoise)
    name = known_scheduler(scheduler)
    function = SCHEDULES[name] if name in SCHEDULES else BROUGHT_SCHEDULES[name]
    sigmas = function(NoiseSchedule.of(source), total + 1 if drop else total)
    if drop:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    return sigmas if denoise > 0.9999 else sigmas[-(steps + 1) :]


def normal(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Even in timestep from the largest level to the smallest, then zero.

    For a flow with a shift the smallest level is shifted once more, since its timestep is its level.
    """
    start, end = schedule.timestep(schedule.sigma_max), schedule.timestep(schedule.sigma_min)
    ends_in_zero = schedule.sigma(end) <= _ZERO
    levels = [schedule.sigma(t) for t in torch.linspace(start, end, steps + ends_in_zero).tolist()]
    return torch.tensor(levels) if ends_in_zero else _then_zero(torch.tensor(levels))


def sgm_uniform(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Even in timestep, stopping one step above the smallest level, then zero (Stability's generative-models)."""
    start, end = schedule.timestep(schedule.sigma_max), schedule.timestep(schedule.sigma_min)
    return _then_zero(torch.tensor([schedule.sigma(t) for t in torch.linspace(start, end, steps + 1).tolist()[:-1]]))


def simple(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Every (T / steps)-th level from the top, of T that the model has."""
    stride = len(schedule.sigmas) / steps
    return _from_table(schedule, [-(1 + int(step * stride)) for step in range(steps)])


def ddim_uniform(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Every (T // steps)-th level from the second (Song et al. 2020, DDIM).

    Where `steps` does not divide T this is longer than asked, and one step starts at the second level: so the field has it.
    """
    stride = max(len(schedule.sigmas) // steps, 1)
    return _from_table(schedule, list(range(1, len(schedule.sigmas), stride))[::-1])


def beta(schedule: NoiseSchedule, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Levels at quantiles of Beta(alpha, beta), dense at both ends (Lee et al. 2024); repeats are dropped."""
    quantiles = stats.beta.ppf(1.0 - np.linspace(0.0, 1.0, steps, endpoint=False), alpha, beta)
    indices = np.rint(quantiles * (len(schedule.sigmas) - 1)).astype(int).tolist()
    return _from_table(schedule, list(dict.fromkeys(indices)))


def linear_quadratic(
    schedule: NoiseSchedule, steps: int, threshold_noise: float = 0.025, linear_steps: int | None = None
) -> Tensor:
    """Down by `threshold_noise` in the first `linear_steps` (half of them) linearly, then quadratically to zero."""
    linear = steps // 2 if linear_steps is None else linear_steps
    if steps == 1 or linear < 1:
        return torch.tensor([schedule.sigma_max, 0.0])
    quadratic = steps - linear
    slope = threshold_noise / linear
    # The parabola meets the line in value and slope at `linear` and reaches 1 at `steps`.
    curve = (1.0 - threshold_noise - slope * quadratic) / quadratic**2
    fall = [slope * i for i in range(linear)]
    fall += [threshold_noise + slope * (i - linear) + curve * (i - linear) ** 2 for i in range(linear, steps)]
    return torch.tensor([*(1.0 - value for value in fall), 0.0]) * schedule.sigmas[-1]


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Karras et al. 2022, eq. 5: even in sigma^(1 / rho)."""
    high, low = sigma_max ** (1.0 / rho), sigma_min ** (1.0 / rho)
    return _then_zero((high + torch.linspace(0, 1, steps) * (low - high)) ** rho)


def exponential_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even in log sigma."""
    return _then_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp())


def polyexponential_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 1.0) -> Tensor:
    """Log sigma falls as a ramp to the power `rho`."""
    ramp = torch.linspace(1, 0, steps) ** rho
    return _then_zero(torch.exp(ramp * (math.log(sigma_max) - math.log(sigma_min)) + math.log(sigma_min)))


def kl_optimal_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even in arctan sigma (Sabour et al. 2024, theorem 3.1). One step starts at `sigma_max`."""
    ramp = torch.arange(steps, dtype=torch.float32) / max(steps - 1, 1)
    return _then_zero((ramp * math.atan(sigma_min) + (1 - ramp) * math.atan(sigma_max)).tan())


def vp_sigmas(steps: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3) -> Tensor:
    """Even in the time of the continuous variance-preserving process (Song et al. 2021), down to `eps_s`."""
    time = torch.linspace(1, eps_s, steps)
    return _then_zero((torch.exp(beta_d * time**2 / 2 + beta_min * time) - 1).sqrt())


def laplace_sigmas(steps: int, sigma_min: float, sigma_max: float, mu: float = 0.0, beta: float = 0.5) -> Tensor:
    """Log sigma at quantiles of a Laplace distribution (Hang et al. 2024), clamped to the range: (steps,), without a zero."""
    offset = 0.5 - torch.linspace(0, 1, steps)
    log_sigma = mu - beta * offset.sign() * torch.log(1 - 2 * offset.abs() + 1e-5)
    return log_sigma.exp().clamp(sigma_min, sigma_max)


def logit_normal_sigmas(steps: int, mu: float, std: float) -> Tensor:
    """Levels at quantiles of a logit-normal distribution (Esser et al. 2024, section 3.1), then zero: (steps + 1,), flow.

    `mu` and `std` are those of the level's logit. The logarithm of the ratio of signal and noise is kept within -18..15.
    """
    quantiles = torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)
    level = torch.special.expit(mu + std * torch.special.ndtri(quantiles))
    low, high = (1.0 / (1.0 + math.exp(-ratio / 2)) for ratio in (-15.0, 18.0))
    return _then_zero(level.clamp(low, high).flip(0)[:-1].to(torch.float32))


def flux2_sigmas(steps: int, tokens: int) -> Tensor:
    """FLUX.2's levels, even in time and shifted by the number of tokens (latent pixels) and of steps.

    The logarithm of the shift is linear in both, as Black Forest Labs fitted it; above 4300 tokens it does not depend on the
    steps.
    """
    at_200_steps = 0.00016927 * tokens + 0.45666666
    logarithm = at_200_steps
    if tokens <= _MOST_TOKENS:
        at_10_steps = 8.73809524e-05 * tokens + 1.89833333
        slope = (at_200_steps - at_10_steps) / 190
        logarithm = at_200_steps + slope * (steps - 200)
    shift = math.exp(logarithm)
    time = torch.linspace(1, 0, steps + 1)
    return shift * time / (1 + (shift - 1) * time)


def _between(function: Callable[[int, float, float], Tensor]) -> Callable[[NoiseSchedule, int], Tensor]:
    return lambda schedule, steps: function(steps, schedule.sigma_min, schedule.sigma_max)


SCHEDULES: Mapping[str, Callable[[NoiseSchedule, int], Tensor]] = {
    "simple": simple,
    "sgm_uniform": sgm_uniform,
    "karras": _between(karras_sigmas),
    "exponential": _between(exponential_sigmas),
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "normal": normal,
    "linear_quadratic": linear_quadratic,
    "kl_optimal": _between(kl_optimal_sigmas),
    "polyexponential": _between(polyexponential_sigmas),
}


def _from_table(schedule: NoiseSchedule, indices: list[int]) -> Tensor:
    return _then_zero(schedule.sigmas[indices])


def _then_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])
