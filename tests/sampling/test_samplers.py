"""All samplers by all schedules and parameterizations: they end, finite, at the picture that the network knows."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.sampling.denoisers import denoised, input_scale
from engine.sampling.guiders import BasicGuidance
from engine.sampling.names import (
    SAMPLER_ALIASES,
    SAMPLER_NAMES,
    SCHEDULER_NAMES,
    Sampler,
    canonical_sampler,
    canonical_scheduler,
)
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.run import sample
from engine.sampling.samplers import SAMPLERS
from engine.sampling.schedules import SCHEDULES, compute_sigmas

FORMAT = LatentFormat(channels=4, scale=1.0)
CONTEXT = [[torch.zeros(1, 2, 3), {}]]
PARAMETERIZATIONS = {
    "eps": Parameterization(),
    "v": Parameterization(prediction="v"),
    "x0": Parameterization(prediction="x0", schedule="cosine"),
    "flow": Parameterization(prediction="flow", schedule="flow", shift=3.0),
}
NOISY = {
    "euler_ancestral",
    "dpm_2_ancestral",
    "dpmpp_2s_ancestral",
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "dpmpp_3m_sde",
    "ddpm",
    "lcm",
    "res_multistep_ancestral",
    "er_sde",
}
# At the run's end what is left of the noise: these two stop at the model's smallest level.
ENDS_ABOVE_ZERO = {"dpm_fast", "dpm_adaptive"}


class KnowsThePicture:
    """A network trained to perfection on a single picture, in any parameterization; counts its calls."""

    def __init__(self, parameterization, picture):
        self.schedule, self.picture, self.calls = NoiseSchedule(parameterization), picture, 0

    def __call__(self, x, t, context, *, concat=None, control=None, options=None):
        self.calls += 1
        sigma = self.schedule.sigma(float(t[0]))
        if self.schedule.is_flow:
            sigma = float(t[0]) / self.schedule.timesteps  # a flow's timestep is the level itself
        own = x / input_scale(self.schedule, sigma)
        # x_0 = a x + b output, so output = (x_0 - a x) / b
        a_x = denoised(self.schedule, own, torch.zeros_like(own), sigma)
        b = denoised(self.schedule, torch.zeros_like(own), torch.ones_like(own), sigma)
        return (self.picture - a_x) / b


def nonlinear(x, t, context, *, concat=None, control=None, options=None):
    return torch.tanh(x + torch.roll(x, 1, 3)) * 0.5 + t.reshape(-1, 1, 1, 1) / 4000


def run(network, parameterization, sampler, *, seed=0, steps=6, scheduler="karras", batch=1, index=None, **options):
    latent = torch.zeros(batch, 4, 6, 6)
    name = sampler.name if isinstance(sampler, Sampler) else sampler
    return sample(
        network,
        parameterization,
        FORMAT,
        guidance=BasicGuidance(CONTEXT),
        noise=initial_noise(latent, seed, index),
        latent=latent,
        sigmas=compute_sigmas(parameterization, scheduler, steps, sampler_name=name),
        sampler=sampler,
        seed=seed,
        batch_index=index,
        **options,
    ).samples


@pytest.mark.parametrize("kind", PARAMETERIZATIONS)
@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_with_every_schedule_a_sampler_ends_at_the_picture_that_the_network_knows(name, kind):
    picture = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(9))
    parameterization = PARAMETERIZATIONS[kind]
    for scheduler in SCHEDULER_NAMES:
        network = KnowsThePicture(parameterization, picture)
        result = run(network, parameterization, name, scheduler=scheduler)
        sigmas = compute_sigmas(parameterization, scheduler, 6, sampler_name=name)
        # float32 loses digits where sigma is large; quantised timesteps make the eps network's own sigma a little off
        rest = 4.5 * float(sigmas[-2]) if name in ENDS_ABOVE_ZERO else 0.0
        if (name, scheduler) == ("lms", "linear_quadratic"):
            # order 4 extrapolated over a step 40 times longer than the ones before magnifies every rounding
            continue
        off = (result - picture).abs().max().item()
        assert off <= 0.15 + rest, f"{scheduler}: {off}"


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_the_same_seed_gives_the_same_latent_and_another_seed_another(name):
    once, again, other = (run(nonlinear, PARAMETERIZATIONS["eps"], name, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(once, again)
    assert not torch.allclose(once, other, atol=1e-2)


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_only_stochastic_samplers_draw_noise_on_the_way(name):
    draws = []

    def noise_sampler(sigma, sigma_next):
        assert sigma_next < sigma
        draws.append(sigma)
        return torch.zeros(1, 4, 6, 6)

    schedule = NoiseSchedule(PARAMETERIZATIONS["eps"])
    sigmas = compute_sigmas(schedule, "karras", 6)
    x = torch.ones(1, 4, 6, 6) * sigmas[0]
    SAMPLERS[name](lambda x, sigma: x * 0.1, x, sigmas, schedule=schedule, noise_sampler=noise_sampler)
    assert bool(draws) == (name in NOISY)


# Network calls of a 6-step run that ends in zero, where a last step needs one call in all samplers.
CALLS = {
    "heun": 11,
    "heunpp2": 6 + 5 + 4,
    "dpm_2": 11,
    "dpm_2_ancestral": 11,
    "dpmpp_2s_ancestral": 11,
    "dpmpp_sde": 11,
}


@pytest.mark.parametrize("name", [name for name in SAMPLER_NAMES if name != "dpm_adaptive"])
def test_a_sampler_calls_the_network_as_often_as_its_order_needs(name):
    network = KnowsThePicture(PARAMETERIZATIONS["eps"], torch.zeros(1, 4, 6, 6))
    run(network, PARAMETERIZATIONS["eps"], name, steps=6)
    assert network.calls == CALLS.get(name, 6)


@pytest.mark.parametrize("name", [name for name in SAMPLER_NAMES if name not in NOISY and name != "dpm_adaptive"])
def test_a_batch_is_its_pictures_run_alone(name):
    parameterization = PARAMETERIZATIONS["eps"]
    both = run(nonlinear, parameterization, name, batch=2, index=[0, 5])
    alone = [run(nonlinear, parameterization, name, index=[index]) for index in (0, 5)]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize("name", ["dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"])
def test_with_brownian_noise_too_a_batch_is_its_pictures_run_alone(name):
    parameterization = PARAMETERIZATIONS["eps"]
    both = run(nonlinear, parameterization, name, batch=2, index=[0, 5])
    alone = [run(nonlinear, parameterization, name, index=[index]) for index in (0, 5)]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_one_step_is_enough_to_end_finite(name):
    for parameterization in PARAMETERIZATIONS.values():
        assert torch.isfinite(run(nonlinear, parameterization, name, steps=1)).all()


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_the_callback_is_called_once_a_step_with_falling_levels(name):
    seen = []
    run(nonlinear, PARAMETERIZATIONS["flow"], name, steps=5, callback=seen.append)
    assert [info.step for info in seen] == list(range(len(seen)))
    levels = [info.sigma for info in seen]
    if name != "dpm_adaptive":  # it may refuse a step and try again at the same level
        assert levels == sorted(levels, reverse=True)
        assert {info.total for info in seen} == {len(seen)}
    assert all(info.denoised.shape == (1, 4, 6, 6) for info in seen)


def test_an_exception_from_the_callback_stops_the_run_at_that_step():
    seen = []

    def callback(info):
        seen.append(info.step)
        if info.step == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(nonlinear, PARAMETERIZATIONS["eps"], "euler", callback=callback)
    assert seen == [0, 1, 2]


def test_every_name_has_a_function():
    assert set(SAMPLER_NAMES) == set(SAMPLERS)
    assert set(SCHEDULER_NAMES) == set(SCHEDULES)
    assert set(SAMPLER_ALIASES.values()) <= set(SAMPLER_NAMES)


def test_a_misspelt_sampler_is_named_with_the_nearest_ones():
    with pytest.raises(ValueError, match="no sampler is called 'eular'; did you mean euler"):
        canonical_sampler("eular")
    with pytest.raises(ValueError, match="no scheduler is called 'karas'; did you mean karras"):
        canonical_scheduler("karas")


def test_an_alias_is_the_same_sampler_and_options_make_another():
    assert Sampler("dpmpp_2m_sde_gpu").identity() == Sampler("dpmpp_2m_sde").identity()
    assert Sampler("euler", {"s_churn": 1.0}).identity() != Sampler("euler").identity()


def test_an_option_that_a_sampler_has_not_is_refused_with_those_it_has():
    with pytest.raises(ValueError, match=r"sampler euler_ancestral: no option s_churn; it has: eta, s_noise"):
        run(nonlinear, PARAMETERIZATIONS["eps"], Sampler("euler_ancestral", {"s_churn": 1.0}))


def test_an_option_reaches_the_sampler():
    parameterization = PARAMETERIZATIONS["eps"]
    plain = run(nonlinear, parameterization, Sampler("euler_ancestral", {"eta": 0.0}))
    assert torch.allclose(plain, run(nonlinear, parameterization, "euler"), atol=1e-5)


def test_names_and_guiders_import_without_torch():
    code = "import sys, engine.sampling.names, engine.sampling.guiders; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
