from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.denoising.run import part_of_schedule
from engine.sampling.names import SAMPLER_NAMES, SCHEDULER_NAMES
from engine.sampling.noise_schedule import (
    NoiseSchedule,
    add_noise,
    add_noise_to_latent,
    forward_process,
    from_network_space,
    to_network_space,
)
from engine.sampling.schedules import compute_sigmas, karras_sigmas, vp_sigmas

SD = Parameterization()
FLOW = Parameterization(prediction="flow", schedule="flow", shift=3.0)


def test_stable_diffusions_levels_are_the_known_ones():
    schedule = NoiseSchedule(SD)
    assert schedule.sigma_min == pytest.approx(0.029167, abs=1e-6)
    assert schedule.sigma_max == pytest.approx(14.614642, abs=1e-5)
    assert schedule.sigma(999) == pytest.approx(schedule.sigma_max)


def test_levels_are_those_of_diffusers_for_each_beta_schedule():
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    for kind, theirs in (("scaled_linear", "scaled_linear"), ("linear", "linear"), ("cosine", "squaredcos_cap_v2")):
        scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule=theirs)
        abar = scheduler.alphas_cumprod.double()
        ours = NoiseSchedule(Parameterization(schedule=kind)).sigmas.double()
        # compared as log sigma, which spans twelve orders for the cosine; its last abar is float32 dust in diffusers
        assert torch.allclose(ours.log()[:-2], ((1 - abar) / abar).sqrt().log()[:-2], atol=2e-3)


def test_zero_terminal_snr_is_that_of_diffusers():
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    abar = torch.cumprod(1 - rescale_zero_terminal_snr(betas), 0)
    ours = NoiseSchedule(Parameterization(zero_terminal_snr=True)).sigmas.double()
    assert torch.allclose(1 / (ours**2 + 1), abar, atol=1e-6)
    assert 4000 < ours[-1] < 5000


@settings(max_examples=60)
@given(st.integers(0, 999))
def test_a_trained_timestep_comes_back_from_its_level(timestep):
    schedule = NoiseSchedule(SD)
    assert schedule.timestep(schedule.sigma(timestep)) == timestep
    assert schedule.timestep(schedule.sigma(timestep), interpolate=True) == pytest.approx(timestep, abs=1e-3)


@settings(max_examples=60)
@given(st.floats(0.01, 20.0))
def test_the_network_is_told_the_nearest_timestep_in_log_sigma(sigma):
    schedule = NoiseSchedule(SD)
    distances = (schedule.sigmas.double().log() - math.log(sigma)).abs()
    told = int(schedule.timestep(sigma))
    assert distances[told] == pytest.approx(distances.min().item(), abs=1e-6)


def test_flow_levels_follow_the_shift():
    schedule = NoiseSchedule(FLOW)
    assert schedule.sigma(500) == pytest.approx(3 * 0.5 / (1 + 2 * 0.5))
    assert schedule.timestep(0.75) == 750
    assert schedule.sigma_max == 1.0
    assert schedule.alpha(0.25) == 0.75


def test_normal_has_the_levels_of_stable_diffusion_3s_authors():
    """Even in time down to the least level, 3 * 0.001 / 1.002 = 0.002994, which is shifted once more: t to 3 t / (1 + 2 t).

    Of 4 steps the times are 1, 0.667665, 0.335329, 0.002994.
    """
    levels = compute_sigmas(NoiseSchedule(FLOW), "normal", 4)
    assert levels.tolist() == pytest.approx([1.0, 0.857692, 0.602151, 0.008929, 0.0], abs=1e-6)


@pytest.mark.parametrize("parameterization", [SD, FLOW], ids=["discrete", "flow"])
def test_half_log_snr_and_back(parameterization):
    schedule = NoiseSchedule(parameterization)
    for sigma in (0.01, 0.3, 0.9):
        assert schedule.sigma_of_half_log_snr(schedule.half_log_snr(sigma)) == pytest.approx(sigma)


def test_percentages_run_from_above_everything_to_zero():
    for parameterization in (SD, FLOW):
        schedule = NoiseSchedule(parameterization)
        levels = [schedule.percent_to_sigma(percent) for percent in (0.0, 0.25, 0.5, 0.75, 1.0)]
        assert levels == sorted(levels, reverse=True)
        assert levels[0] >= schedule.sigma_max
        assert levels[-1] == 0.0
    assert NoiseSchedule(SD).percent_to_sigma(0.5) == pytest.approx(NoiseSchedule(SD).sigma(499.5))


@pytest.mark.parametrize("parameterization", [SD, FLOW], ids=["discrete", "flow"])
@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
@pytest.mark.parametrize("steps", [1, 2, 20, 50])
def test_every_schedule_falls_from_the_top_to_zero(scheduler, steps, parameterization):
    sigmas = compute_sigmas(parameterization, scheduler, steps)
    assert sigmas.shape == (steps + 1,)
    assert sigmas[-1] == 0.0
    assert (sigmas[:-1] > sigmas[1:]).all()
    top = NoiseSchedule(parameterization).sigma_max
    assert sigmas[0] <= top * 1.00001
    if steps > 1 and scheduler not in ("ddim_uniform",):  # it starts one stride below the top
        assert sigmas[0] >= top * 0.98


def test_karras_is_the_papers_formula_and_spans_the_models_levels():
    sigmas = compute_sigmas(SD, "karras", 10)
    low, high = 0.0291675 ** (1 / 7), 14.614642 ** (1 / 7)
    expected = torch.tensor([(high + i / 9 * (low - high)) ** 7 for i in range(10)] + [0.0])
    assert torch.allclose(sigmas, expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_karras_and_exponential_are_those_of_diffusers():
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    for scheduler, option in (("karras", "use_karras_sigmas"), ("exponential", "use_exponential_sigmas")):
        theirs = EulerDiscreteScheduler(**betas, **{option: True})
        theirs.set_timesteps(12)
        assert torch.allclose(compute_sigmas(SD, scheduler, 12), theirs.sigmas.float(), rtol=1e-4)


def test_normal_and_simple_are_even_in_timestep():
    schedule = NoiseSchedule(SD)
    normal = [schedule.timestep(float(sigma), interpolate=True) for sigma in compute_sigmas(SD, "normal", 10)[:-1]]
    assert normal == pytest.approx([999 - 111 * i for i in range(10)], abs=0.01)
    sgm = [schedule.timestep(float(sigma), interpolate=True) for sigma in compute_sigmas(SD, "sgm_uniform", 10)[:-1]]
    assert sgm == pytest.approx([999 - 99.9 * i for i in range(10)], abs=0.01)
    simple = [schedule.timestep(float(sigma)) for sigma in compute_sigmas(SD, "simple", 10)[:-1]]
    assert simple == [999 - 100 * i for i in range(10)]
    ddim = [schedule.timestep(float(sigma)) for sigma in compute_sigmas(SD, "ddim_uniform", 10)[:-1]]
    assert ddim == [901 - 100 * i for i in range(10)]


def test_ddim_uniform_takes_a_step_more_where_the_steps_do_not_divide_the_timesteps():
    assert len(compute_sigmas(SD, "ddim_uniform", 30)) == 32


def test_linear_quadratic_joins_its_halves_smoothly():
    sigmas = compute_sigmas(SD, "linear_quadratic", 20) / NoiseSchedule(SD).sigma_max
    assert sigmas[10] == pytest.approx(1 - 0.025)
    assert torch.allclose(sigmas[:11].diff(), torch.full((10,), -0.0025), atol=1e-5)
    bends = sigmas[10:].diff().diff()
    assert torch.allclose(bends, bends[0].expand_as(bends), atol=1e-5)


def test_denoise_keeps_the_end_of_a_longer_run():
    whole = compute_sigmas(SD, "karras", 40)
    assert torch.equal(compute_sigmas(SD, "karras", 20, denoise=0.5), whole[-21:])
    assert compute_sigmas(SD, "karras", 20, denoise=0.0).shape == (0,)


def test_the_steps_of_the_longer_run_are_cut_to_a_whole_number():
    assert int(20 / 0.3) == 66  # of 66.7
    assert torch.equal(compute_sigmas(SD, "karras", 20, denoise=0.3), compute_sigmas(SD, "karras", 66)[-21:])


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_samplers_that_need_it_skip_the_level_before_zero(sampler):
    plain, longer = compute_sigmas(SD, "normal", 8), compute_sigmas(SD, "normal", 9)
    sigmas = compute_sigmas(SD, "normal", 8, sampler_name=sampler)
    if sampler in ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"):
        assert torch.equal(sigmas, torch.cat([longer[:-2], longer[-1:]]))
    else:
        assert torch.equal(sigmas, plain)


def test_fewer_than_one_step_is_refused():
    with pytest.raises(ValueError, match="steps: expected at least 1, got 0"):
        compute_sigmas(SD, "normal", 0)


def test_a_part_of_the_schedule():
    sigmas = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])
    assert part_of_schedule(sigmas, 1, 3).tolist() == [3.0, 2.0, 1.0]
    assert part_of_schedule(sigmas, 1, 3, force_full_denoise=True).tolist() == [3.0, 2.0, 0.0]
    assert part_of_schedule(sigmas, 0, 10_000).tolist() == sigmas.tolist()
    assert part_of_schedule(sigmas, 4, None).tolist() == []
    assert sigmas.tolist() == [4.0, 3.0, 2.0, 1.0, 0.0]


def test_further_schedules_fall_to_zero():
    for sigmas in (vp_sigmas(12), karras_sigmas(12, 0.1, 10.0, rho=3.0)):
        assert sigmas.shape == (13,)
        assert sigmas[-1] == 0.0
        assert (sigmas[:-1] >= sigmas[1:]).all()


def test_the_forward_process_mixes_as_the_papers_write_it():
    x0, noise = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    abar = torch.cumprod(1 - betas, 0)[600].item()
    expected = math.sqrt(abar) * x0 + math.sqrt(1 - abar) * noise
    assert torch.allclose(forward_process(SD, x0, noise, 600), expected, atol=1e-5)
    plain_flow = Parameterization(prediction="flow", schedule="flow")
    assert torch.allclose(forward_process(plain_flow, x0, noise, 250), 0.75 * x0 + 0.25 * noise, atol=1e-6)


def test_noise_from_the_top_has_the_spread_that_training_data_have_there():
    schedule = NoiseSchedule(SD)
    zero, one = torch.zeros(1, 4, 2, 2), torch.ones(1, 4, 2, 2)
    assert add_noise(schedule, zero, one, 3.0).unique().tolist() == [3.0]
    assert add_noise(schedule, zero, one, 3.0, from_pure_noise=True).unique().tolist() == pytest.approx([10**0.5])


def test_add_noise_to_a_latent_works_in_the_networks_space():
    latent_format = LatentFormat(channels=4, scale=0.5, shift=1.0)
    latent, noise = torch.full((1, 4, 2, 2), 3.0), torch.ones(1, 4, 2, 2)
    noisy = add_noise_to_latent(SD, latent_format, latent, noise, torch.tensor([2.0, 1.0, 0.5]))
    # (3 - 1) * 0.5 = 1, plus 1.5, back: 2.5 / 0.5 + 1
    assert noisy.unique().tolist() == pytest.approx([6.0])
    assert add_noise_to_latent(SD, latent_format, latent, noise, torch.zeros(0)) is latent


def test_an_empty_latent_stays_empty_and_others_come_back():
    latent_format = LatentFormat(channels=4, scale=0.5, shift=1.0)
    assert to_network_space(torch.zeros(1, 4, 2, 2), latent_format).count_nonzero() == 0
    latent = torch.randn(1, 4, 2, 2)
    assert torch.allclose(from_network_space(to_network_space(latent, latent_format), latent_format), latent, atol=1e-6)
