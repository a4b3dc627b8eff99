"""Models that know every noise level of a range: against diffusers' EDM scheduler and by hand; and noise of another strength."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from engine.datatypes.parameterization import LatentFormat
from engine.denoising.records import Start
from engine.denoising.run import sample
from engine.plugins.compat.model_sampling import of as for_packs
from engine.sampling.denoisers import denoised, input_scale
from engine.sampling.guiders import BasicGuidance
from engine.sampling.noise_schedule import ABOVE_ALL_SIGMAS, NoiseSchedule, add_noise
from engine.sampling.schedules import SCHEDULES, compute_sigmas
from nodes.custom_sampling import SeededNoise
from nodes.custom_sampling import add_noise as add_noise_node
from nodes.model_sampling import model_sampling_discrete
from nodes.model_sampling_ranges import model_noise_scale, model_sampling_continuous_edm, model_sampling_continuous_v
from tests.guided_runs import EPS, FLOW, handle, live, network, noise, text

SIGMAS = (90.0, 7.0, 1.0, 0.03)
KINDS = ("v_prediction", "edm", "edm_playground_v2.5", "eps", "cosmos_rflow")


def schedule_of(model: Any) -> NoiseSchedule:
    return NoiseSchedule.of(model.parameterization)


@pytest.mark.parametrize(("sampling", "data"), [("edm", 1.0), ("edm_playground_v2.5", 0.5), ("v_prediction", 1.0)])
@pytest.mark.parametrize("sigma", SIGMAS)
def test_what_is_told_and_predicted_is_as_diffusers_has_it(sampling: str, data: float, sigma: float) -> None:
    from diffusers.schedulers.scheduling_edm_euler import EDMEulerScheduler

    kind = "v_prediction" if sampling == "v_prediction" else "epsilon"
    theirs = EDMEulerScheduler(sigma_data=data, prediction_type=kind)
    schedule = schedule_of(model_sampling_continuous_edm(handle(), sampling))
    x, output = noise(), noise().flip(1)
    assert torch.allclose(
        denoised(schedule, x, output, sigma), theirs.precondition_outputs(x, output, sigma), atol=1e-5
    )
    assert torch.allclose(x * input_scale(schedule, sigma), theirs.precondition_inputs(x, sigma), atol=1e-6)
    assert schedule.timestep(sigma) == pytest.approx(float(theirs.precondition_noise(sigma)), abs=1e-6)
    assert schedule.sigma(schedule.timestep(sigma)) == pytest.approx(sigma)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_noise_and_a_velocity_of_shares_give_back_what_was_noised(sigma: float) -> None:
    clean, eps = noise(), noise().flip(1)
    schedule = schedule_of(model_sampling_continuous_edm(handle(), "eps"))
    assert torch.allclose(denoised(schedule, clean + sigma * eps, eps, sigma), clean, atol=1e-4)
    cosmos = schedule_of(model_sampling_continuous_edm(handle(), "cosmos_rflow"))
    time = cosmos.timestep(sigma)
    assert time == pytest.approx(sigma / (1 + sigma))
    flowed = (1 - time) * clean + time * eps  # x of a flow, which is what its network is given
    assert torch.allclose((clean + sigma * eps) * input_scale(cosmos, sigma), flowed, atol=1e-5)
    assert torch.allclose(denoised(cosmos, clean + sigma * eps, eps - clean, sigma), clean, atol=1e-4)
    noisy = add_noise(cosmos, clean, eps, sigma, from_pure_noise=True)
    assert torch.allclose(noisy, clean + sigma * eps, atol=1e-5)


def test_velocity_of_an_angle() -> None:
    schedule = schedule_of(model_sampling_continuous_v(handle()))
    assert (schedule.sigma_min, schedule.sigma_max) == (pytest.approx(0.03), pytest.approx(500.0))
    for sigma in SIGMAS:
        angle = schedule.timestep(sigma) * math.pi / 2
        assert math.tan(angle) == pytest.approx(sigma)
        clean, eps = noise(), noise().flip(1)
        x, velocity = clean + sigma * eps, math.cos(angle) * eps - math.sin(angle) * clean
        assert torch.allclose(denoised(schedule, x, velocity, sigma), clean, atol=1e-4)
        assert schedule.sigma(schedule.timestep(sigma)) == pytest.approx(sigma)


@pytest.mark.parametrize("sampling", KINDS)
def test_every_schedule_runs_from_the_largest_level_to_zero(sampling: str) -> None:
    model = model_sampling_continuous_edm(handle(), sampling, 80.0, 0.01)
    schedule = schedule_of(model)
    levels = torch.linspace(math.log(0.01), math.log(80.0), 1000).exp()
    assert torch.allclose(schedule.sigmas, levels)
    assert schedule.percent_to_sigma(0.25) == pytest.approx(0.01 * 8000**0.75, rel=1e-5)
    assert (schedule.percent_to_sigma(0.0), schedule.percent_to_sigma(1.0)) == (ABOVE_ALL_SIGMAS, 0.0)
    for name in SCHEDULES:
        sigmas = compute_sigmas(schedule, name, 6)
        assert float(sigmas[-1]) == 0.0
        assert bool((sigmas.diff() < 0).all())
        if name != "ddim_uniform":
            assert float(sigmas[0]) == pytest.approx(80.0, rel=2e-4)


@pytest.mark.parametrize("sampling", KINDS)
def test_packs_see_the_same_levels(sampling: str) -> None:
    model = model_sampling_continuous_edm(handle(), sampling)
    schedule, seen = schedule_of(model), for_packs(model.parameterization)
    several = torch.tensor(SIGMAS[:2])
    x, output = noise(), noise().flip(1)
    assert seen.timestep(several).tolist() == pytest.approx([schedule.timestep(sigma) for sigma in SIGMAS[:2]])
    for number, sigma in enumerate(SIGMAS[:2]):
        found = seen.calculate_denoised(several, output, x)[number]
        assert torch.allclose(found, denoised(schedule, x, output, sigma)[number], atol=1e-4)
        found = seen.calculate_input(several, x)[number]
        assert torch.allclose(found, x[number] * input_scale(schedule, sigma), atol=1e-5)


def test_playground_has_latents_of_its_own() -> None:
    model = model_sampling_continuous_edm(handle(), "edm_playground_v2.5")
    latent = noise()
    seen = model.latent.to_network(latent)
    assert torch.allclose(seen[:, 3], (latent[:, 3] - 2.5155) / 5.2299 * 0.5, atol=1e-6)
    assert torch.allclose(model.latent.from_network(seen), latent, atol=1e-5)
    with pytest.raises(ValueError, match="latents of 4 channels; this model has 16"):
        model_sampling_continuous_edm(handle(latent=LatentFormat(channels=16)), "edm_playground_v2.5")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (2.0, 2.0), (3.0, 2.0)])
def test_a_range_without_levels_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="sigma_min must be above 0 and below sigma_max"):
        model_sampling_continuous_edm(handle(), "edm", high, low)
    with pytest.raises(ValueError, match="ModelSamplingContinuousV: sigma_min must be above 0"):
        model_sampling_continuous_v(handle(), "v_prediction", high, low)


def test_a_table_can_be_had_again() -> None:
    back = model_sampling_discrete(model_sampling_continuous_edm(handle(), "edm_playground_v2.5"), "v_prediction")
    plain = model_sampling_discrete(handle(), "v_prediction")
    assert torch.equal(schedule_of(back).sigmas, schedule_of(plain).sigmas)
    assert back.parameterization.sigma_data == 1.0


@pytest.mark.parametrize("process", [EPS, FLOW], ids=["eps", "flow"])
@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "lcm"])
def test_noise_of_another_deviation_at_the_start_and_on_the_way(process: Any, sampler: str) -> None:
    """As a run whose every draw is so much larger."""
    positive, seed = text(1), 3
    schedule = NoiseSchedule.of(process)
    levels = [schedule.sigma_max, 0.4, 0.1, 0.0]
    model = model_noise_scale(handle(process), 2.5)
    latent = torch.zeros(1, 4, 6, 5)
    start = Start(latent, noise((1, 4, 6, 5)), None, seed)
    found = sample(live(model), start, BasicGuidance(positive), torch.tensor(levels), sampler).samples
    generator = torch.Generator().manual_seed(seed)
    x = 2.5 * start.noise * (levels[0] if schedule.is_flow else math.sqrt(1 + levels[0] ** 2))
    for sigma, following in zip(levels[:-1], levels[1:]):  # noqa: RUF007
        scaled = x if schedule.is_flow else x / math.sqrt(1 + sigma**2)
        output = network(scaled, torch.full((1,), schedule.timestep(sigma)), positive[0][0])
        clean = x - sigma * output
        if following == 0.0:
            x = clean
            break
        if sampler == "euler":
            x = x + output * (following - sigma)
            continue
        fresh = 2.5 * torch.randn(x.shape, generator=generator)
        alpha = schedule.alpha(following)
        if sampler == "lcm":
            x = alpha * clean + following * fresh
        elif schedule.is_flow:
            down = following * (following / sigma)
            share = alpha / (1 - down)
            up = math.sqrt(following**2 - (down * share) ** 2)
            x = (clean + down / sigma * (x - clean)) * share + up * fresh
        else:
            up = min(following, following * math.sqrt(1 - (following / sigma) ** 2))
            x = clean + math.sqrt(following**2 - up**2) / sigma * (x - clean) + up * fresh
    assert torch.allclose(found, x, atol=1e-4)


def test_noise_is_added_to_a_latent_at_that_deviation_too() -> None:
    latent = {"samples": torch.ones(1, 4, 6, 5)}
    sigmas = torch.tensor([3.0, 0.0])
    plain = add_noise_node(handle(), SeededNoise(4), sigmas, latent)["samples"]
    scaled = add_noise_node(model_noise_scale(handle(), 2.0), SeededNoise(4), sigmas, latent)["samples"]
    assert torch.allclose(scaled - 1.0, 2.0 * (plain - 1.0), atol=1e-5)
    assert model_noise_scale(handle(), 2.0).identity() != handle().identity()
