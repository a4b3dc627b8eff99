"""All samplers by all schedules and parameterizations: they end, finite, at the picture that the network knows."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.denoising.records import LiveModel, Start
from engine.denoising.run import sample
from engine.sampling.denoisers import denoised, input_scale
from engine.sampling.guiders import BasicGuidance
from engine.sampling.names import (
    RETIRED_SCHEDULES,
    SAMPLER_NAMES,
    SCHEDULER_NAMES,
    Sampler,
    known_sampler,
    known_scheduler,
)
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule
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
BROWNIAN = {
    name + device
    for name in ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde")
    for device in ("", "_gpu")
}
NOISY = BROWNIAN | {
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "dpm_2_ancestral",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "ddpm",
    "lcm",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
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
        LiveModel(network, NoiseSchedule(parameterization), FORMAT),
        Start(latent, initial_noise(latent, seed, index), seed=seed),
        BasicGuidance(CONTEXT),
        compute_sigmas(parameterization, scheduler, steps, sampler_name=name),
        sampler,
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
        if (name, scheduler) == ("ipndm_v", "linear_quadratic"):
            continue  # its coefficients are off where a step is 40 times longer than the ones before, as in the field
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
    "dpmpp_2s_ancestral_cfg_pp": 11,
    "dpmpp_sde": 11,
    "dpmpp_sde_gpu": 11,
    "seeds_2": 11,
    "seeds_3": 16,
    "sa_solver_pece": 11,
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


@pytest.mark.parametrize("name", sorted(NOISY))
def test_noise_on_the_way_is_drawn_for_the_whole_batch_whatever_its_indices(name):
    parameterization = PARAMETERIZATIONS["eps"]
    both = run(nonlinear, parameterization, name, batch=2)
    first, second = (run(nonlinear, parameterization, name, index=[index]) for index in (0, 1))
    # A tree draws each of its cells from a seed of its own; one generator goes on from draw to draw.
    assert torch.allclose(both[:1], first, atol=1e-5) is (name in BROWNIAN)
    assert not torch.allclose(both[1:], second, atol=1e-2)


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
    assert tuple(SAMPLERS) == SAMPLER_NAMES
    assert (*SCHEDULER_NAMES, *RETIRED_SCHEDULES) == tuple(SCHEDULES)
    assert all(known_scheduler(name) == name for name in RETIRED_SCHEDULES)


def test_the_menus_are_the_fields_in_its_order():
    # clients pass choices by place
    samplers = """euler euler_cfg_pp euler_ancestral euler_ancestral_cfg_pp heun heunpp2 dpm_2 dpm_2_ancestral lms dpm_fast
        dpm_adaptive dpmpp_2s_ancestral dpmpp_2s_ancestral_cfg_pp dpmpp_sde dpmpp_sde_gpu dpmpp_2m dpmpp_2m_cfg_pp
        dpmpp_2m_sde dpmpp_2m_sde_gpu dpmpp_2m_sde_heun dpmpp_2m_sde_heun_gpu dpmpp_3m_sde dpmpp_3m_sde_gpu ddpm lcm ipndm
        ipndm_v deis res_multistep res_multistep_cfg_pp res_multistep_ancestral res_multistep_ancestral_cfg_pp
        gradient_estimation gradient_estimation_cfg_pp er_sde seeds_2 seeds_3 sa_solver sa_solver_pece ddim uni_pc
        uni_pc_bh2"""
    schedules = "simple sgm_uniform karras exponential ddim_uniform beta normal linear_quadratic kl_optimal"
    assert tuple(samplers.split()) == SAMPLER_NAMES
    assert len(SAMPLER_NAMES) == 42
    assert tuple(schedules.split()) == SCHEDULER_NAMES


def test_a_misspelt_sampler_is_named_with_the_nearest_ones():
    with pytest.raises(ValueError, match="no sampler is called 'eular'; did you mean euler"):
        known_sampler("eular")
    with pytest.raises(ValueError, match="no scheduler is called 'karas'; did you mean karras"):
        known_scheduler("karas")


def test_another_name_or_option_is_another_sampler():
    assert Sampler("dpmpp_2m_sde_gpu").identity() != Sampler("dpmpp_2m_sde").identity()
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
