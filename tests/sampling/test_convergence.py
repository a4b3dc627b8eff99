"""ODE samplers on Gaussian data, where the probability-flow ODE has a closed-form solution."""

from __future__ import annotations

import math

import pytest
import torch

from engine.datatypes.parameterization import Parameterization
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers import SAMPLERS

MEAN, SPREAD = 0.3, 0.8
VE = NoiseSchedule(Parameterization())
FLOW = NoiseSchedule(Parameterization(prediction="flow", schedule="flow"))


def deviation(schedule, sigma):
    """The standard deviation of x = alpha x_0 + sigma noise for x_0 ~ N(MEAN, SPREAD^2)."""
    return math.sqrt((schedule.alpha(sigma) * SPREAD) ** 2 + sigma**2)


def posterior_mean(schedule):
    def denoise(x, sigma):
        alpha, total = schedule.alpha(sigma), deviation(schedule, sigma)
        return MEAN + alpha * SPREAD**2 / total**2 * (x - alpha * MEAN)

    return denoise


def exact(schedule, x, start, end):
    """Along the flow (x - alpha MEAN) / deviation stays as it is."""
    quantile = (x - schedule.alpha(start) * MEAN) / deviation(schedule, start)
    return schedule.alpha(end) * MEAN + quantile * deviation(schedule, end)


def error(name, schedule, sigmas, **options):
    x = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64).reshape(1, 1, 3, 3) * deviation(schedule, sigmas[0])
    levels = torch.tensor(sigmas, dtype=torch.float64)
    result = SAMPLERS[name](posterior_mean(schedule), x, levels, schedule=schedule, noise_sampler=None, **options)
    return (result - exact(schedule, x, sigmas[0], sigmas[-1])).abs().max().item()


def grid(schedule, steps):
    """Levels that refine smoothly: even in log sigma, or in sigma for the flow."""
    if schedule.is_flow:
        return [0.95 + (0.05 - 0.95) * i / steps for i in range(steps + 1)]
    return [5.0 * (0.1 / 5.0) ** (i / steps) for i in range(steps + 1)]


# The order that theory gives, limited by the first steps where a multistep method has no past yet.
ORDERS = {
    "euler": 1,
    "ddim": 1,
    "heun": 2,
    "heunpp2": 1,
    "dpm_2": 2,
    "lms": 2,
    "dpmpp_2m": 2,
    "ipndm_v": 2,
    "deis": 2,
    "res_multistep": 2,
    "gradient_estimation": 1,
    "uni_pc": 2,
    "uni_pc_bh2": 2,
    "dpmpp_2s_ancestral": 2,
    "dpmpp_sde": 2,
    "dpmpp_2m_sde": 2,
    "dpmpp_3m_sde": 2,
    "dpm_2_ancestral": 2,
    "euler_ancestral": 1,
    "res_multistep_ancestral": 2,
    "dpmpp_2m_sde_heun": 2,
    "seeds_2": 2,
    "seeds_3": 3,
    "sa_solver": 3,
    "sa_solver_pece": 3,
}
STOCHASTIC = ("ancestral", "sde", "seeds", "sa_solver")


def options_of(name):
    return {"eta": 0.0} if any(word in name for word in STOCHASTIC) else {}


@pytest.mark.parametrize("schedule", [VE, FLOW], ids=["discrete", "flow"])
@pytest.mark.parametrize("name", ORDERS)
def test_halving_the_steps_divides_the_error_by_two_to_the_order(name, schedule):
    coarse, fine = (error(name, schedule, grid(schedule, steps), **options_of(name)) for steps in (48, 96))
    order = math.log2(coarse / fine)
    assert order > ORDERS[name] - 0.25, f"measured order {order:.2f} ({coarse:.1e} -> {fine:.1e})"


def test_ipndm_is_of_second_order_where_its_even_coefficients_hold():
    coarse, fine = (error("ipndm", FLOW, grid(FLOW, steps)) for steps in (48, 96))
    assert math.log2(coarse / fine) > 1.75


@pytest.mark.parametrize("schedule", [VE, FLOW], ids=["discrete", "flow"])
def test_dpm_fast_is_of_third_order_when_it_does_not_end_in_a_first_order_step(schedule):
    # 50 = 3 * 16 + 2 and 101 = 3 * 33 + 2 evaluations: 17 and 34 steps
    coarse, fine = (error("dpm_fast", schedule, grid(schedule, evaluations)) for evaluations in (50, 101))
    assert math.log2(coarse / fine) > 2.7


def test_dpm_adaptive_gets_closer_as_its_tolerance_falls():
    errors = [error("dpm_adaptive", VE, [5.0, 0.1], rtol=tol, atol=tol) for tol in (1e-2, 1e-3, 1e-4)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


@pytest.mark.parametrize("name", ["heun", "dpm_2", "dpmpp_2m", "uni_pc", "lms", "deis", "res_multistep"])
def test_a_second_order_sampler_beats_euler_at_twenty_steps(name):
    sigmas = grid(VE, 20)
    assert error(name, VE, sigmas) < error("euler", VE, sigmas) / 3
