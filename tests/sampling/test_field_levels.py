"""Noise levels as measured in the field: numbers, and the float32 arithmetic that decides at the ends of a range."""

from __future__ import annotations

import math

import pytest
import torch

from engine.datatypes.parameterization import Parameterization
from engine.sampling.denoisers import consistency_shares, denoised, input_scale
from engine.sampling.names import SCHEDULER_NAMES
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.schedules import compute_sigmas, laplace_sigmas

SD = Parameterization()
LCM = Parameterization(prediction="lcm")
FLOW = Parameterization(prediction="flow", schedule="flow", shift=3.0)


def table():
    """Stable Diffusion's levels and their logarithms, float32, from its betas."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    abar = torch.cumprod(1 - betas, 0)
    exact = ((1 - abar) / abar).sqrt()
    return exact.float(), exact.log().float()


def level(t):
    """The level at a float32 timestep tensor, all in float32."""
    logs = table()[1]
    low, high, weight = t.floor().long(), t.ceil().long(), t.frac()
    return ((1 - weight) * logs[low] + weight * logs[high]).exp()


def test_ddim_uniform_with_one_step_is_the_level_of_timestep_1():
    assert compute_sigmas(SD, "ddim_uniform", 1).tolist() == pytest.approx([0.0413, 0.0], abs=5e-5)


@pytest.mark.parametrize(("steps", "taken"), [(20, 20), (30, 31), (36, 37), (999, 999)])
def test_ddim_uniform_takes_more_steps_than_asked_where_they_do_not_divide_the_levels(steps, taken):
    assert len(compute_sigmas(SD, "ddim_uniform", steps)) - 1 == taken


def test_beta_drops_repeated_timesteps():
    sigmas = compute_sigmas(SD, "beta", 1000)
    assert len(sigmas) == 848
    assert (sigmas[:-1] > sigmas[1:]).all()


def test_the_end_of_a_flow_is_shifted_twice_in_normal():
    assert compute_sigmas(FLOW, "simple", 20)[-2].item() == pytest.approx(0.136, abs=5e-4)
    assert compute_sigmas(FLOW, "normal", 20)[-2].item() == pytest.approx(0.00893, abs=5e-6)


def test_zero_terminal_snr_has_the_fields_largest_level():
    top = NoiseSchedule(Parameterization(zero_terminal_snr=True)).sigma_max
    assert top == pytest.approx(4518.77, abs=0.01)
    assert 1 / (1 + top**2) == pytest.approx(4.897e-8, rel=1e-4)


@pytest.mark.parametrize(("scheduler", "steps"), [("karras", [9, 10, 11]), ("normal", [10, 11, 12, 13, 14, 15])])
def test_a_range_compares_levels_and_so_depends_on_the_schedule(scheduler, steps):
    schedule = NoiseSchedule(SD)
    start, end = schedule.percent_to_sigma(0.5), schedule.percent_to_sigma(0.8)
    sigmas = compute_sigmas(SD, scheduler, 20).tolist()
    assert [step for step in range(20) if end <= sigmas[step] <= start] == steps


PAIRS = [(steps, i) for steps in (4, 20, 25, 30, 50, 100) for i in range(1, steps)]


def test_a_percentage_is_a_float32_level_closed_at_both_ends():
    """Against float32 arithmetic written out; float64 would leave out a step at one end of nearly every range."""
    schedule = NoiseSchedule(SD)
    inside = {"float32": 0, "float64": 0}
    for steps, i in PAIRS:
        sigmas = compute_sigmas(SD, "sgm_uniform", steps)
        expected = level(torch.tensor((1.0 - i / steps) * 999.0))
        assert schedule.percent_to_sigma(i / steps) == expected.item()
        assert torch.equal(sigmas[i], level(torch.linspace(999, 0, steps + 1)[i]))
        inside["float32"] += sigmas[i].item() <= schedule.percent_to_sigma(i / steps)
        t = (1.0 - i / steps) * 999.0
        low, high = (float(table()[1][round(place)]) for place in (math.floor(t), math.ceil(t)))
        inside["float64"] += sigmas[i].item() <= math.exp(low + (t - math.floor(t)) * (high - low))
    assert len(PAIRS) == 223
    assert inside["float32"] > 200
    assert inside["float64"] < 130


@pytest.mark.parametrize("percent", [0.1, 0.3, 0.7])
def test_a_flows_percentage_is_a_float32_level_too(percent):
    shifted = 3.0 * (1.0 - percent) / (1.0 + 2.0 * (1.0 - percent))
    assert NoiseSchedule(FLOW).percent_to_sigma(percent) == torch.tensor(shifted, dtype=torch.float32).item()


@pytest.mark.parametrize(("scheduler", "steps"), [("normal", 7), ("normal", 13), ("normal", 19), ("sgm_uniform", 6)])
def test_a_timestep_between_two_is_looked_up_in_the_table(scheduler, steps):
    """The network is told the timestep nearest in float32 log sigma: halves go up or down as rounding has it."""
    schedule, logs = NoiseSchedule(SD), table()[1]
    sigmas = compute_sigmas(SD, scheduler, steps)[:-1]
    times = torch.linspace(999, 0, steps) if scheduler == "normal" else torch.linspace(999, 0, steps + 1)[:-1]
    assert any(time.frac() == 0.5 for time in times)
    for sigma, time in zip(sigmas, times, strict=True):
        nearest = int((sigma.log() - logs).abs().argmin())
        assert schedule.timestep(sigma.item()) == nearest
        assert abs(nearest - time.item()) <= 0.5


def test_a_latent_consistency_model_has_50_levels():
    schedule = NoiseSchedule(LCM)
    assert torch.equal(schedule.sigmas, table()[0][19::20])
    assert len(schedule.sigmas) == 50
    assert [schedule.timestep(sigma) for sigma in schedule.sigmas.tolist()] == list(range(19, 1000, 20))
    assert schedule.timestep(0.01) == 19


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ("sgm_uniform", [14.615, 4.171, 1.668, 0.733, 0.0]),
        ("simple", [table()[0][t].item() for t in (999, 759, 499, 259)] + [0.0]),
        ("ddim_uniform", [table()[0][t].item() for t in (999, 759, 519, 279, 39)] + [0.0]),
    ],
)
def test_the_levels_of_a_short_run_are_among_the_50(scheduler, expected):
    assert compute_sigmas(LCM, scheduler, 4).tolist() == pytest.approx(expected, abs=5e-4)


def test_every_schedule_runs_on_the_50_levels():
    for scheduler in SCHEDULER_NAMES:
        sigmas = compute_sigmas(LCM, scheduler, 8)
        assert sigmas[0] == pytest.approx(14.6146, rel=1e-4)
        assert sigmas[-1] == 0.0


def test_a_consistency_model_is_scaled_at_its_boundary():
    skip, out = consistency_shares(19)
    assert (skip, out) == (0.25 / (190**2 + 0.25), 190 / math.sqrt(190**2 + 0.25))
    schedule, x, output = NoiseSchedule(LCM), torch.full((1, 4, 2, 2), 3.0), torch.full((1, 4, 2, 2), 0.5)
    sigma = schedule.sigma_min
    expected = out * (3.0 - 0.5 * sigma) + skip * 3.0
    assert denoised(schedule, x, output, sigma).unique().tolist() == pytest.approx([expected])


def test_a_network_from_picture_to_picture_is_given_x_unscaled():
    schedule = NoiseSchedule(Parameterization(prediction="img_to_img"))
    output = torch.randn(1, 4, 2, 2)
    assert input_scale(schedule, 5.0) == 1.0
    assert input_scale(NoiseSchedule(Parameterization(prediction="x0")), 5.0) == pytest.approx(26**-0.5)
    assert torch.equal(denoised(schedule, torch.randn(1, 4, 2, 2), output, 5.0), output)


def test_laplace_has_no_zero_at_its_end():
    sigmas = laplace_sigmas(12, 0.03, 14.6)
    assert sigmas.shape == (12,)
    assert sigmas[-1] == pytest.approx(0.03)
    assert (sigmas[:-1] >= sigmas[1:]).all()


@pytest.mark.parametrize("steps", [1, 2, 8, 20])
def test_levels_between_two_are_spaced_in_float32(steps):
    """k-diffusion's formulas, in torch: Brownian noise is asked for at these very numbers."""
    low, high = (float(end) for end in table()[0][[0, -1]])
    ramp = torch.linspace(0, 1, steps)
    karras = (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7
    exponential = torch.linspace(math.log(high), math.log(low), steps).exp()
    assert torch.equal(compute_sigmas(SD, "karras", steps)[:-1], karras)
    assert torch.equal(compute_sigmas(SD, "exponential", steps)[:-1], exponential)
