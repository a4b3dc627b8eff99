"""Schedules turned round: from a picture to its noise, with every sampler."""

from __future__ import annotations

import pytest
import torch

from engine.datatypes.parameterization import Parameterization
from engine.sampling.names import SAMPLER_NAMES
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers import SAMPLERS
from engine.sampling.schedules import compute_sigmas

SCHEDULES = {
    "discrete": NoiseSchedule(Parameterization()),
    "flow": NoiseSchedule(Parameterization(prediction="flow", schedule="flow", shift=3.0)),
}


def flipped(schedule, steps=6):
    sigmas = compute_sigmas(schedule, "normal", steps).flip(0)
    sigmas[0] = 0.0001  # as FlipSigmas has it
    return sigmas


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_every_sampler_runs_upwards(name, kind):
    schedule = SCHEDULES[kind]
    x = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    draw = lambda sigma, sigma_next: torch.ones_like(x)  # noqa: E731
    result = SAMPLERS[name](
        lambda x, sigma: x / (1.0 + sigma**2), x, flipped(schedule), schedule=schedule, noise_sampler=draw
    )
    assert torch.isfinite(result).all()
    assert not torch.allclose(result, x, atol=1e-2)


@pytest.mark.parametrize("name", ["euler_ancestral", "dpmpp_2s_ancestral", "res_multistep_ancestral", "lcm"])
def test_ancestral_samplers_go_to_the_prediction_and_add_the_noise_of_the_level(name):
    x, sigmas = torch.full((1, 1, 2, 2), 3.0), torch.tensor([0.5, 2.0])
    draw = lambda sigma, sigma_next: torch.full_like(x, 0.25)  # noqa: E731
    result = SAMPLERS[name](lambda x, sigma: x * 0.5, x, sigmas, schedule=SCHEDULES["discrete"], noise_sampler=draw)
    assert result.unique().tolist() == [3.0 * 0.5 + 2.0 * 0.25]


def test_dpm_2_ancestral_goes_to_the_prediction_and_adds_none():
    x = torch.full((1, 1, 2, 2), 3.0)
    take = SAMPLERS["dpm_2_ancestral"]
    result = take(
        lambda x, sigma: x * 0.5, x, torch.tensor([0.5, 2.0]), schedule=SCHEDULES["discrete"], noise_sampler=None
    )
    assert result.unique().tolist() == [1.5]


@pytest.mark.parametrize("name", ["euler", "dpm_2", "dpmpp_2m", "dpm_fast", "dpm_adaptive", "dpmpp_2m_sde", "seeds_2"])
def test_without_noise_the_way_up_is_the_way_down_backwards(name):
    """On data N(0, 1) both are x times the quotient of the spreads; where noise cannot be had none is added."""
    x = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64).reshape(1, 1, 3, 3)
    sigmas = torch.linspace(0.1, 3.0, 100, dtype=torch.float64)
    result = SAMPLERS[name](
        lambda x, sigma: x / (1.0 + sigma**2), x, sigmas, schedule=SCHEDULES["discrete"], noise_sampler=None
    )
    expected = x * ((1.0 + 9.0) / (1.0 + 0.01)) ** 0.5
    assert torch.allclose(result, expected, rtol=0.05)
