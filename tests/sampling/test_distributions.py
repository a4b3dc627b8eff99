"""Samplers that add noise: started from the right distribution they must end in the data's."""

from __future__ import annotations

import math

import pytest
import torch

from engine.datatypes.parameterization import Parameterization
from engine.sampling.noise import ancestral_noise, brownian_noise
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers import SAMPLERS
from engine.sampling.schedules import karras_sigmas

MEAN, SPREAD = 0.3, 0.8
VE = NoiseSchedule(Parameterization())
FLOW = NoiseSchedule(Parameterization(prediction="flow", schedule="flow"))
PICTURES, SIDE = 4, 64
FIRST_ORDER = ("euler", "euler_ancestral", "euler_ancestral_cfg_pp", "ddpm")  # need more steps for the same accuracy


def sampled(name, schedule, steps=40, **options):
    if schedule.is_flow:
        sigmas = torch.cat([torch.linspace(1.0, 0.02, steps), torch.zeros(1)])
    else:
        sigmas = karras_sigmas(steps, 0.03, 15.0)

    def posterior_mean(x, sigma):
        alpha = schedule.alpha(sigma)
        total = (alpha * SPREAD) ** 2 + sigma**2
        return MEAN + alpha * SPREAD**2 / total * (x - alpha * MEAN)

    start = float(sigmas[0])
    alpha = schedule.alpha(start)
    unit = torch.randn(PICTURES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    x = alpha * MEAN + unit * math.sqrt((alpha * SPREAD) ** 2 + start**2)
    noise = (
        brownian_noise(x, 0.01, 15.5 if not schedule.is_flow else 1.01, 3) if "pp" in name else ancestral_noise(x, 3)
    )
    return SAMPLERS[name](posterior_mean, x, sigmas, schedule=schedule, noise_sampler=noise, **options)


NAMES = [
    "euler_ancestral",
    "dpm_2_ancestral",
    "dpmpp_2s_ancestral",
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_heun",
    "dpmpp_3m_sde",
    "ddpm",
    "er_sde",
    "euler_ancestral_cfg_pp",
    "res_multistep_ancestral",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
]
# The field adds the noise of res_multistep_ancestral to a flow as if alpha were 1; see test_formulas.
CASES = [
    (name, schedule) for name in NAMES for schedule in (VE, FLOW) if name != "res_multistep_ancestral" or schedule is VE
]


@pytest.mark.parametrize(
    ("name", "schedule"),
    CASES,
    ids=[f"{name}-{'flow' if schedule.is_flow else 'discrete'}" for name, schedule in CASES],
)
def test_a_stochastic_sampler_keeps_mean_and_spread_of_the_data(name, schedule):
    result = sampled(name, schedule, steps=150 if name in FIRST_ORDER else 40)
    assert abs(result.mean().item() - MEAN) < 0.03
    assert abs(result.std().item() / SPREAD - 1.0) < 0.05


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2"])
def test_churn_keeps_mean_and_spread_of_the_data(name):
    result = sampled(name, VE, steps=150 if name in FIRST_ORDER else 40, s_churn=8.0)
    assert abs(result.mean().item() - MEAN) < 0.03
    assert abs(result.std().item() / SPREAD - 1.0) < 0.05


def test_lcm_with_an_exact_consistency_function_samples_the_data():
    sigmas = torch.tensor([15.0, 4.0, 1.0, 0.3, 0.0])

    def consistency(x, sigma):
        return MEAN + (x - MEAN) * SPREAD / math.sqrt(SPREAD**2 + sigma**2)

    x = torch.randn(PICTURES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 15.02 + MEAN
    result = SAMPLERS["lcm"](consistency, x, sigmas, schedule=VE, noise_sampler=ancestral_noise(x, 3))
    assert abs(result.mean().item() - MEAN) < 0.03
    assert abs(result.std().item() / SPREAD - 1.0) < 0.03


def test_eta_zero_makes_a_stochastic_sampler_deterministic():
    for name in ("euler_ancestral", "dpmpp_2m_sde", "dpmpp_sde"):
        assert torch.equal(sampled(name, VE, steps=5, eta=0.0), sampled(name, VE, steps=5, eta=0.0, s_noise=0.5))
