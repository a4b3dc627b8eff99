"""Schedules as values; values checked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nodes import sigmas as s
from nodes.loaders import checkpoint_loader


@pytest.fixture
def model(bench):
    return checkpoint_loader(bench, "tiny.safetensors").MODEL


def falls_to_zero(sigmas: torch.Tensor) -> bool:
    return bool((sigmas.diff() < 0).all()) and float(sigmas[-1]) == 0.0


@pytest.mark.parametrize(
    "make",
    [
        lambda m: s.basic_scheduler(m, "normal", 8),
        lambda m: s.karras_scheduler(8),
        lambda m: s.exponential_scheduler(8),
        lambda m: s.polyexponential_scheduler(8, rho=1.5),
        lambda m: s.vp_scheduler(8),
        lambda m: s.beta_sampling_scheduler(m, 8),
        lambda m: s.linear_quadratic_scheduler(m, 8),
        lambda m: s.sd_turbo_scheduler(m, 8),
        lambda m: s.ideogram4_scheduler(8),
    ],
)
def test_every_schedule_falls_to_zero_in_as_many_steps_as_asked(model, make):
    sigmas = make(model)
    assert sigmas.shape == (9,)
    assert falls_to_zero(sigmas)


def test_laplace_ends_at_the_least_level_without_a_zero():
    sigmas = s.laplace_scheduler(8)
    assert sigmas.shape == (8,)
    assert sigmas[-1] == pytest.approx(0.0291675)


def test_a_schedule_by_name_has_no_more_steps_than_asked(model):
    sigmas = s.basic_scheduler(model, "ddim_uniform", 36)  # KSampler takes 37
    assert sigmas.shape == (37,)
    assert falls_to_zero(sigmas)


def test_the_karras_ends_are_those_given():
    sigmas = s.karras_scheduler(5, sigma_max=10.0, sigma_min=0.1)
    assert sigmas[0] == pytest.approx(10.0)
    assert sigmas[-2] == pytest.approx(0.1)


def test_less_denoise_keeps_the_end_of_a_longer_schedule(model):
    part, whole = s.basic_scheduler(model, "karras", 4, 0.5), s.basic_scheduler(model, "karras", 8, 1.0)
    assert torch.equal(part, whole[-5:])
    assert s.basic_scheduler(model, "karras", 4, 0.0).shape == (0,)


def test_turbo_starts_at_the_top_and_later_with_less_denoise(model):
    full, half = s.sd_turbo_scheduler(model, 2, 1.0), s.sd_turbo_scheduler(model, 2, 0.5)
    assert full[0] == pytest.approx(14.6146, abs=1e-3)
    assert half[0] < full[1]


def test_a_schedule_is_cut_with_the_level_at_the_cut_in_both_parts():
    sigmas = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])
    high, low = s.split_sigmas(sigmas, 1)
    assert high.tolist() == [4.0, 3.0]
    assert low.tolist() == [3.0, 2.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("denoise", "high", "low"),
    [(1.0, [4.0], [4.0, 2.0, 0.0]), (0.5, [4.0, 2.0], [2.0, 0.0]), (0.0, [], [0.0])],
)
def test_a_cut_by_denoise_gives_the_second_part_that_share_of_the_steps(denoise, high, low):
    parts = s.split_sigmas_denoise(torch.tensor([4.0, 2.0, 0.0]), denoise)
    assert (parts.high_sigmas.tolist(), parts.low_sigmas.tolist()) == (high, low)


def test_flipped_sigmas_rise_and_do_not_start_at_zero():
    given = torch.tensor([4.0, 2.0, 0.0])
    assert s.flip_sigmas(given).tolist() == pytest.approx([0.0001, 2.0, 4.0])
    assert given.tolist() == [4.0, 2.0, 0.0]
    assert s.flip_sigmas(torch.zeros(0)).shape == (0,)


def test_the_first_level_is_replaced_in_a_copy():
    given = torch.tensor([4.0, 2.0, 0.0])
    assert s.set_first_sigma(given, 9.0).tolist() == [9.0, 2.0, 0.0]
    assert given[0] == 4.0


def test_a_schedule_may_be_written_out():
    assert s.manual_sigmas("14.5, 3 1e-1,0").tolist() == pytest.approx([14.5, 3.0, 0.1, 0.0])
    with pytest.raises(ValueError, match="expected numbers"):
        s.manual_sigmas("14.5, three")


def test_karras_spacing_is_that_of_the_paper():
    sigmas = s.karras_scheduler(3, sigma_max=9.0, sigma_min=1.0, rho=2.0)
    assert sigmas.tolist() == pytest.approx([9.0, ((math.sqrt(9) + math.sqrt(1)) / 2) ** 2, 1.0, 0.0])


@pytest.mark.parametrize(
    ("steps", "width", "height"), [(20, 1024, 1024), (4, 512, 768), (50, 1376, 800), (28, 1600, 1600)]
)
def test_flux2s_levels_are_the_librarys(steps, width, height):
    from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    mu = compute_empirical_mu(width * height // 256, steps)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    assert torch.allclose(s.flux2_scheduler(steps, width, height), scheduler.sigmas, atol=1e-6)
