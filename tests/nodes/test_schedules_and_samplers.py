"""Schedules that were searched for or shifted by tokens, levels between, and samplers by their own options."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from engine.cache.digests import digest
from engine.denoising.records import Start
from engine.denoising.run import sample
from engine.models.handles import ModelHandle
from engine.sampling.guiders import BasicGuidance, CfgGuidance
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers import SAMPLERS
from engine.sampling.samplers.sa_solver import _AdamsStep
from nodes.align_your_steps import align_your_steps_scheduler
from nodes.custom_samplers import (
    sampler_euler_ancestral_cfg_pp,
    sampler_euler_cfg_pp,
    sampler_lcm_upscale,
    sampler_sa_solver,
    sampler_seeds_2,
)
from nodes.ltxv_sampling import ltxv_scheduler, model_sampling_ltxv
from nodes.sigmas_change import extend_intermediate_sigmas, sampling_percent_to_sigma
from tests.guided_runs import EPS, FLOW, by_hand, handle, live, made, network, noise, sigmas_of, text

POSITIVE, NEGATIVE = text(1), text(2)
GUIDED = CfgGuidance(POSITIVE, NEGATIVE, 2.0)


@pytest.mark.parametrize(
    ("kind", "table"),
    [("SD1", "StableDiffusionSigmas"), ("SDXL", "StableDiffusionXLSigmas"), ("SVD", "StableDiffusionVideoSigmas")],
)
def test_align_your_steps_is_the_table_that_diffusers_has(kind: str, table: str) -> None:
    """Its levels are rounded to a few digits there, and follow from the timesteps that it has beside them."""
    from diffusers.schedulers import AysSchedules

    found = align_your_steps_scheduler(kind, 10)
    assert found.tolist() == pytest.approx(AysSchedules[table], rel=4e-3, abs=3e-3)
    if kind != "SVD":
        steps = AysSchedules[table.replace("Sigmas", "Timesteps")]
        alphas = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
        assert found.tolist()[:-1] == pytest.approx([math.sqrt((1 - alphas[t]) / alphas[t]) for t in steps], rel=1e-5)


def test_other_numbers_of_steps_lie_between_in_the_logarithm_and_parts_are_the_last() -> None:
    ten, twenty = align_your_steps_scheduler("SVD", 10), align_your_steps_scheduler("SVD", 20)
    assert twenty[2:18:2].tolist() == pytest.approx(ten[1:9].tolist())
    assert float(twenty[3]) == pytest.approx(math.sqrt(54.5 * 15.886))
    assert float(twenty[19]) == pytest.approx(math.sqrt(0.034 * 0.002))
    assert torch.equal(align_your_steps_scheduler("SVD", 20, 0.3), twenty[-7:])
    assert align_your_steps_scheduler("SD1", 1).tolist() == [pytest.approx(14.6146, abs=1e-4), 0.0]
    assert align_your_steps_scheduler("SD1", 10, 0.0).shape == (0,)


@pytest.mark.parametrize(("steps", "shape"), [(20, None), (12, (1, 128, 5, 16, 24)), (3, (2, 128, 1, 20, 20))])
def test_ltx_video_is_diffusers_scheduler(steps: int, shape: tuple[int, ...] | None) -> None:
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    theirs = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, shift_terminal=0.1, base_shift=0.95, max_shift=2.05
    )
    tokens = 4096 if shape is None else math.prod(shape[2:])
    mu = 0.95 + (2.05 - 0.95) * (tokens - 1024) / (4096 - 1024)
    theirs.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps), mu=mu)
    latent = None if shape is None else {"samples": torch.zeros(shape)}
    assert torch.allclose(ltxv_scheduler(steps, latent=latent), theirs.sigmas, atol=1e-6)
    plain = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    plain.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps), mu=mu)
    assert torch.allclose(ltxv_scheduler(steps, stretch=False, latent=latent), plain.sigmas, atol=1e-6)
    assert model_sampling_ltxv(handle(), latent=latent).parameterization.shift == pytest.approx(math.exp(mu))


def test_ltx_video_in_one_step_and_of_a_latent_that_is_too_large() -> None:
    assert ltxv_scheduler(1).tolist() == [1.0, 0.0]
    vast = {"samples": torch.zeros(1, 1, 1, 1, 1).expand(1, 1, 400, 100, 100)}
    for make in (lambda: ltxv_scheduler(4, latent=vast), lambda: model_sampling_ltxv(handle(), latent=vast)):
        with pytest.raises(
            ValueError, match=r"4000000 tokens give a shift of e to the power of 1\d\d\d, .*Lower max_shift"
        ):
            make()
    assert model_sampling_ltxv(handle()).parameterization.prediction == "flow"


def test_levels_are_put_between_where_they_are_wanted() -> None:
    sigmas = torch.tensor([16.0, 8.0, 4.0, 0.0])
    extended = extend_intermediate_sigmas(sigmas, 4, 10.0, 4.0)
    assert extended.tolist() == [16.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    assert extend_intermediate_sigmas(sigmas, 2).tolist() == [16.0, 12.0, 8.0, 4.0, 0.0]
    first = [1.0 - math.sin(p * math.pi / 6) for p in (1, 2)]
    cosine = extend_intermediate_sigmas(sigmas, 3, -1.0, 16.0, "cosine")
    assert cosine.tolist() == pytest.approx([16.0, *(8 + 8 * share for share in first), 8.0, 4.0, 0.0])
    last = [math.cos(p * math.pi / 6) for p in (1, 2)]
    sine = extend_intermediate_sigmas(sigmas, 3, -1.0, 16.0, "sine")
    assert sine.tolist() == pytest.approx([16.0, *(8 + 8 * share for share in last), 8.0, 4.0, 0.0])
    assert torch.equal(extend_intermediate_sigmas(sigmas, 1), sigmas)
    assert extend_intermediate_sigmas(torch.zeros(0)).shape == (0,)


def test_a_share_of_the_sampling_as_a_level() -> None:
    discrete, flow = handle(), handle(FLOW)
    schedule = NoiseSchedule.of(EPS)
    assert sampling_percent_to_sigma(discrete, 0.5).sigma_value == pytest.approx(schedule.sigma(499.5))
    assert sampling_percent_to_sigma(flow, 0.5).sigma_value == pytest.approx(3 * 0.5 / (1 + 2 * 0.5))
    assert sampling_percent_to_sigma(discrete, 0.0).sigma_value > 1e8
    assert sampling_percent_to_sigma(discrete, 0.0, True).sigma_value == schedule.sigma_max
    assert sampling_percent_to_sigma(discrete, 1.0, True).sigma_value == schedule.sigma_min
    assert sampling_percent_to_sigma(flow, 1.0).sigma_value == 0.0
    assert sampling_percent_to_sigma(discrete, 0.5, True) == sampling_percent_to_sigma(discrete, 0.5)


def run(model: ModelHandle, sampler: Any, guidance: Any = GUIDED, seed: int = 3) -> torch.Tensor:
    start = Start(torch.zeros(2, 4, 6, 5), noise(), None, seed)
    return sample(live(model), start, guidance, sigmas_of(model), sampler).samples


@pytest.mark.parametrize("process", [EPS, FLOW], ids=["eps", "flow"])
def test_cfg_pp_as_nodes_is_that_by_name_and_the_alternative_goes_as_far_again(process: Any) -> None:
    model = handle(process)
    assert torch.equal(run(model, sampler_euler_cfg_pp()), made(model, GUIDED, "euler_cfg_pp"))
    expected = by_hand(
        model, lambda x, sigma, found: 2 * (found[1] + 2.0 * (found[0] - found[1])) - found[1], POSITIVE, NEGATIVE
    )
    assert torch.allclose(run(model, sampler_euler_cfg_pp("alternative")), expected, atol=1e-4)
    still = run(model, sampler_euler_ancestral_cfg_pp(0.0))
    assert torch.allclose(still, made(model, GUIDED, "euler_cfg_pp"), atol=1e-5)
    assert not torch.equal(run(model, sampler_euler_ancestral_cfg_pp()), still)


def test_sa_solver_takes_noise_where_it_is_told() -> None:
    model = handle()
    usual = run(model, sampler_sa_solver(model))
    assert torch.equal(usual, run(model, "sa_solver"))
    assert torch.equal(run(model, sampler_sa_solver(model, use_pece=True)), run(model, "sa_solver_pece"))
    quiet = run(model, sampler_sa_solver(model, eta=0.0))
    assert torch.equal(quiet, run(model, sampler_sa_solver(model, sde_start_percent=1.0, sde_end_percent=1.0)))
    assert not torch.equal(usual, run(model, sampler_sa_solver(model, sde_start_percent=0.0, sde_end_percent=1.0)))
    assert not torch.equal(usual, quiet)


def test_sa_solver_without_a_corrector_is_its_predictor_and_of_order_1_an_exponential_step() -> None:
    model = handle()
    schedule = NoiseSchedule.of(EPS)
    found = run(model, sampler_sa_solver(model, eta=0.0, predictor_order=1, corrector_order=0))

    def guided(x: torch.Tensor, sigma: float, outputs: list[torch.Tensor]) -> torch.Tensor:
        return outputs[1] + 2.0 * (outputs[0] - outputs[1])

    assert schedule.sigma_max > 14.0
    assert torch.allclose(found, by_hand(model, guided, POSITIVE, NEGATIVE), atol=1e-3)  # the first order is DDIM


@pytest.mark.parametrize("tau", [0.0, 0.7])
def test_the_simpler_second_order_is_diffusers(tau: float) -> None:
    """On one step of predictor and corrector, whose noise is left out."""
    from diffusers.schedulers.scheduling_sasolver import SASolverScheduler

    theirs = SASolverScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    theirs.set_timesteps(8)
    generator = torch.Generator().manual_seed(4)
    x, older, newer, ahead = (torch.randn(1, 4, 3, 3, generator=generator).double() for _ in range(4))
    older_level, level, following = theirs.sigmas[2:5].tolist()
    none, told = torch.zeros_like(x), torch.tensor(tau, dtype=torch.float64)
    theirs.sigmas = theirs.sigmas.double()
    theirs.model_outputs = [older, newer]
    theirs._step_index = 3
    to_theirs = [(1 + level**2) ** -0.5, (1 + following**2) ** 0.5]
    predicted = theirs.stochastic_adams_bashforth_update(newer, sample=x * to_theirs[0], noise=none, order=2, tau=told)
    step = _AdamsStep(NoiseSchedule.of(EPS), x, (level, following), tau, 0.0, lambda *_: none, True)
    ours = step.to_end([newer, older], [older_level, level])
    assert torch.allclose(ours, predicted * to_theirs[1], atol=1e-5)
    theirs._step_index = 4
    corrected = theirs.stochastic_adams_moulton_update(
        ahead, last_sample=x * to_theirs[0], last_noise=none, this_sample=predicted, order=2, tau=told
    )
    assert torch.allclose(step.to_end([ahead, newer], [level, following]), corrected * to_theirs[1], atol=1e-5)


def test_seeds_2_can_be_the_exponential_heun_method() -> None:
    """Hochbruck and Ostermann 2010: x_0 is a line in lambda through both ends, integrated against exp(lambda)."""
    model, schedule = handle(), NoiseSchedule.of(EPS)
    found = run(model, sampler_seeds_2("phi_2", eta=0.0, r=1.0), BasicGuidance(POSITIVE))
    levels = sigmas_of(model).tolist()
    x = noise().double() * levels[0]

    def predicted(at: torch.Tensor, sigma: float) -> torch.Tensor:
        t = torch.full((2,), schedule.timestep(sigma))
        scaled = (at / math.sqrt(1 + sigma**2)).float()
        return at - sigma * network(scaled, t, POSITIVE[0][0].expand(2, -1, -1)).double()

    for sigma, following in zip(levels[:-1], levels[1:]):  # noqa: RUF007
        first = predicted(x, sigma)
        if following == 0.0:
            x = first
            break
        h = math.log(sigma / following)
        keep = math.exp(-h)
        second = predicted(keep * x + (1 - keep) * first, following)
        slope = 1 - (1 - keep) / h  # of the integral of exp(v) (v + h) / h
        x = keep * x + (1 - keep) * first + slope * (second - first)
    assert torch.allclose(found.double(), x, atol=1e-4)
    assert torch.equal(run(model, sampler_seeds_2()), run(model, "seeds_2"))
    assert not torch.equal(run(model, sampler_seeds_2("phi_2")), run(model, sampler_seeds_2("phi_1")))


def test_options_are_told_apart_by_the_cache() -> None:
    model = handle()
    samplers = [
        sampler_euler_cfg_pp(),
        sampler_euler_cfg_pp("alternative"),
        sampler_seeds_2("phi_2"),
        sampler_seeds_2(),
        sampler_sa_solver(model),
        sampler_sa_solver(model, simple_order_2=True),
        sampler_lcm_upscale(2.0),
        sampler_lcm_upscale(2.0, 3),
    ]
    assert len({digest(one) for one in samplers}) == len(samplers)
    assert set(SAMPLERS) >= {one.name for one in samplers if hasattr(one, "name")}


@pytest.mark.parametrize("process", [EPS, FLOW], ids=["eps", "flow"])
def test_latents_grow_on_the_way_between_prediction_and_noise(process: Any) -> None:
    model = handle(process)
    latent, levels = torch.zeros(2, 4, 6, 5), sigmas_of(model)
    heard: list[tuple[int, int, tuple[int, ...]]] = []
    ended = sample(
        live(model),
        Start(latent, noise(), None, 3),
        GUIDED,
        levels,
        sampler_lcm_upscale(2.0, 2, "nearest-exact"),
        lambda info: heard.append((info.step, info.total, tuple(info.x.shape[-2:]))),
    )
    assert ended.samples.shape == (2, 4, 12, 10)
    sizes = [(6, 5), (9, 8), (12, 10), (12, 10), (12, 10)]  # 7.5 rounds to 8, as sides of a latent do
    assert heard == [(step, 5, size) for step, size in enumerate(sizes)]
    schedule, generator = NoiseSchedule.of(process), torch.Generator().manual_seed(3)
    x = noise() * levels[0]
    for step, (sigma, following) in enumerate(zip(levels.tolist(), levels.tolist()[1:])):
        t = torch.full((2,), schedule.timestep(sigma))
        scaled = x if schedule.is_flow else x / math.sqrt(1 + sigma**2)
        found = [network(scaled, t, one[0][0].expand(2, -1, -1)) for one in (POSITIVE, NEGATIVE)]
        clean = x - sigma * (found[1] + 2.0 * (found[0] - found[1]))
        size = [*sizes[1:], sizes[-1]][step]
        clean = torch.nn.functional.interpolate(clean, size=size, mode="nearest-exact")
        fresh = torch.randn(clean.shape, generator=generator)
        x = schedule.alpha(following) * clean + following * fresh if following else clean
    assert torch.allclose(ended.samples, x, atol=1e-4)


def test_growing_by_half_of_the_steps_and_not_at_all_and_with_a_mask() -> None:
    assert sampler_lcm_upscale(3.0).ratios(4) == pytest.approx([2.0, 3.0, 3.0, 3.0])  # type: ignore[attr-defined]
    assert sampler_lcm_upscale(3.0, 1).ratios(3) == [3.0, 3.0, 3.0]  # type: ignore[attr-defined]
    assert sampler_lcm_upscale(3.0, 0).ratios(2) == [1.0, 1.0]  # type: ignore[attr-defined]
    model = handle()
    assert run(model, sampler_lcm_upscale()).shape == (2, 4, 6, 5)
    kept = torch.full((1, 4, 6, 6), 0.5)
    mask = torch.zeros(1, 6, 6)
    mask[:, :, 3:] = 1.0
    start = Start(kept, torch.randn(1, 4, 6, 6), mask, 3)
    ended = sample(live(model), start, GUIDED, sigmas_of(model), sampler_lcm_upscale(2.0, 1, "nearest-exact")).samples
    assert ended.shape == (1, 4, 12, 12)
    assert torch.equal(ended[..., :5], torch.full((1, 4, 12, 5), 0.5))  # the sixth is where the mask fades
    part = sample(live(model), Start(kept, kept), GUIDED, sigmas_of(model)[:3], sampler_lcm_upscale(2.0))
    assert part.samples.shape == (1, 4, 12, 12)
    assert not torch.equal(part.samples, part.denoised)


def test_a_shift_that_rounds_the_levels_to_one_gives_numbers():
    levels = ltxv_scheduler(20, 100.0, 100.0, True, 0.1)
    assert bool(torch.isfinite(levels).all())
    assert float(levels[-2]) == pytest.approx(0.1)
