"""Our samplers against diffusers' schedulers: same toy network, same levels, same noise, max abs difference ≤ 1e-4.

Conventions. Both sides visit diffusers' own sigmas, timestep spacing "trailing" (whole timesteps, so that both tell the
network the same t), ending in zero unless said otherwise. Our x is in the variance-exploding form; schedulers that work
on the variance-preserving x (DDIM, DDPM, DPM++, UniPC, LCM) start from, and are compared after, multiplying by
1 / sqrt(1 + sigma^2). Noise drawn on the way is replayed from a generator with the same seed, one draw a step.
"""

from __future__ import annotations

import math

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from diffusers.schedulers.scheduling_k_dpm_2_discrete import KDPM2DiscreteScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from diffusers.schedulers.scheduling_lms_discrete import LMSDiscreteScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from engine.datatypes.parameterization import Parameterization
from engine.sampling.denoisers import unconditional
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers import SAMPLERS

SHAPE = (2, 4, 8, 8)
STEPS = 10
TOLERANCE = 1e-4
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own, about numpy 2
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
SPACING = {**BETAS, "timestep_spacing": "trailing"}
PLAIN = {**SPACING, "clip_sample": False}


def toy_network(x, t):
    """Smooth, nonlinear, and different at each timestep: a stand-in that a wrong t, scale or weight shows on."""
    time = t.reshape(-1, 1, 1, 1) / 1000
    mixed = torch.roll(x, 1, dims=1) * 0.3 + x * (0.4 + 0.3 * time)
    return torch.tanh(mixed) + 0.1 * torch.sin(3 * time + x)


def vp(sigma):
    return 1 / math.sqrt(1 + float(sigma) ** 2)


def ours(name, x, sigmas, *, prediction="epsilon", noise_seed=None, schedule=None, **options):
    kind = {"epsilon": "eps", "v_prediction": "v"}.get(prediction, prediction)
    schedule = schedule or NoiseSchedule(Parameterization(prediction=kind))
    generator = torch.Generator().manual_seed(noise_seed or 0)

    def noise_sampler(sigma, sigma_next):
        assert noise_seed is not None, f"{name} drew noise"
        return torch.randn(SHAPE, generator=generator)

    denoiser = unconditional(toy_network, schedule)
    return SAMPLERS[name](denoiser, x, sigmas, schedule=schedule, noise_sampler=noise_sampler, **options)


def theirs(scheduler, x, **step_options):
    for t in scheduler.timesteps:
        t_batch = torch.full((x.shape[0],), float(t))
        output = toy_network(scheduler.scale_model_input(x, t), t_batch)
        x = scheduler.step(output, t, x, **step_options).prev_sample
    return x


def start_noise():
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))


def assert_close(a, b):
    difference = (a - b).abs().max().item()
    assert difference <= TOLERANCE, f"max abs difference {difference:.2e}"


def sigmas_of(scheduler):
    """The levels of a variance-preserving scheduler that keeps none: from abar at its timesteps, then zero."""
    abar = scheduler.alphas_cumprod[scheduler.timesteps.long()].double()
    return torch.cat([((1 - abar) / abar).sqrt().float(), torch.zeros(1)])


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_euler_follows_euler_discrete(prediction):
    scheduler = EulerDiscreteScheduler(**SPACING, prediction_type=prediction)
    scheduler.set_timesteps(STEPS)
    x = start_noise() * scheduler.sigmas[0]
    assert_close(ours("euler", x, scheduler.sigmas, prediction=prediction), theirs(scheduler, x))


def test_euler_with_churn_follows_euler_discrete():
    # diffusers draws from the generator at each step with gamma > 0, and scales by s_noise; so do we
    scheduler = EulerDiscreteScheduler(**SPACING)
    scheduler.set_timesteps(STEPS)
    x = start_noise() * scheduler.sigmas[0]
    result = theirs(scheduler, x, generator=torch.Generator().manual_seed(5), s_churn=2.0, s_noise=1.01)
    own = _euler_told_the_unraised_timestep(x, scheduler.sigmas, s_churn=2.0, s_noise=1.01, seed=5)
    assert_close(own, result)


def _euler_told_the_unraised_timestep(x, sigmas, *, seed, **options):
    """diffusers tells the network the timestep of sigma though x is at sigma_hat: the toy must be told the same."""
    schedule = NoiseSchedule(Parameterization())
    generator = torch.Generator().manual_seed(seed)
    told = iter(sigmas.tolist())

    def denoiser(x, raised):
        sigma = next(told)
        # scale_model_input saw x before the churn
        output = toy_network((x - churned[-1]) / math.sqrt(sigma**2 + 1), torch.full((2,), schedule.timestep(sigma)))
        return x - raised * output

    churned = []

    def noise_sampler(sigma, raised):
        noise = torch.randn(SHAPE, generator=generator)
        churned.append(noise * options["s_noise"] * math.sqrt(raised**2 - sigma**2))
        return noise

    return SAMPLERS["euler"](denoiser, x, sigmas, schedule=schedule, noise_sampler=noise_sampler, **options)


def test_euler_ancestral_follows_euler_ancestral_discrete():
    scheduler = EulerAncestralDiscreteScheduler(**SPACING)
    scheduler.set_timesteps(STEPS)
    x = start_noise() * scheduler.sigmas[0]
    result = theirs(scheduler, x, generator=torch.Generator().manual_seed(5))
    assert_close(ours("euler_ancestral", x, scheduler.sigmas, noise_seed=5), result)


def test_heun_follows_heun_discrete():
    scheduler = HeunDiscreteScheduler(**SPACING)
    scheduler.set_timesteps(STEPS)
    levels = torch.cat([scheduler.sigmas[:1], scheduler.sigmas[1::2]])  # each inner level is listed twice
    x = start_noise() * levels[0]
    assert len(levels) == STEPS + 1
    assert_close(ours("heun", x, levels), theirs(scheduler, x))


def test_dpm_2_follows_k_dpm_2():
    # its inner levels, halfway in log sigma, get fractional timesteps, so here our schedule interpolates too
    scheduler = KDPM2DiscreteScheduler(**SPACING)
    scheduler.set_timesteps(STEPS)
    levels = torch.cat([scheduler.sigmas[:1], scheduler.sigmas[1::2]])[: STEPS + 1]
    x = start_noise() * levels[0]
    schedule = NoiseSchedule(Parameterization())

    def denoiser(x, sigma):
        t = torch.full((2,), schedule.timestep(sigma, interpolate=True))
        return x - sigma * toy_network(x * vp(sigma), t)

    own = SAMPLERS["dpm_2"](denoiser, x, levels, schedule=schedule, noise_sampler=None)
    assert_close(own, theirs(scheduler, x))


def test_lms_follows_lms_discrete():
    scheduler = LMSDiscreteScheduler(**SPACING)
    scheduler.set_timesteps(STEPS)
    x = start_noise() * scheduler.sigmas[0]
    own = ours(
        "lms", x, scheduler.sigmas[:-1]
    )  # to zero it takes the prediction, as the field does and diffusers does not
    scheduler.timesteps = scheduler.timesteps[:-1]
    assert_close(own, theirs(scheduler, x))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_ddim_follows_ddim(prediction):
    scheduler = DDIMScheduler(**PLAIN, prediction_type=prediction, set_alpha_to_one=True)
    scheduler.set_timesteps(STEPS)
    sigmas = sigmas_of(scheduler)
    x = start_noise()
    kind = "x0" if prediction == "sample" else prediction
    assert_close(ours("ddim", x / vp(sigmas[0]), sigmas, prediction=kind), theirs(scheduler, x))


def test_ddpm_follows_ddpm():
    scheduler = DDPMScheduler(**PLAIN, variance_type="fixed_small")
    scheduler.set_timesteps(STEPS)
    sigmas = sigmas_of(scheduler)
    x = start_noise()
    result = theirs(scheduler, x, generator=torch.Generator().manual_seed(5))
    assert_close(ours("ddpm", x / vp(sigmas[0]), sigmas, noise_seed=5), result)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_dpmpp_2m_follows_dpm_solver_multistep(prediction):
    scheduler = DPMSolverMultistepScheduler(
        **SPACING, solver_order=2, algorithm_type="dpmsolver++", solver_type="midpoint", prediction_type=prediction
    )
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas
    x = start_noise()
    assert_close(ours("dpmpp_2m", x / vp(sigmas[0]), sigmas, prediction=prediction), theirs(scheduler, x))


@pytest.mark.parametrize("solver_type", ["midpoint", "heun"])
def test_dpmpp_2m_sde_follows_dpm_solver_multistep(solver_type):
    scheduler = DPMSolverMultistepScheduler(
        **SPACING, solver_order=2, algorithm_type="sde-dpmsolver++", solver_type=solver_type
    )
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas
    x = start_noise()
    result = theirs(scheduler, x, generator=torch.Generator().manual_seed(5))
    own = ours("dpmpp_2m_sde", x / vp(sigmas[0]), sigmas, noise_seed=5, solver_type=solver_type)
    assert_close(own, result)


@pytest.mark.parametrize(("name", "solver_type"), [("uni_pc", "bh1"), ("uni_pc_bh2", "bh2")])
def test_uni_pc_follows_uni_pc_multistep(name, solver_type):
    # ends at the model's smallest level: in log sigma neither side can reach zero
    scheduler = UniPCMultistepScheduler(
        **SPACING, solver_order=3, solver_type=solver_type, predict_x0=True, final_sigmas_type="sigma_min"
    )
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas
    x = start_noise()
    assert_close(ours(name, x / vp(sigmas[0]), sigmas) * vp(sigmas[-1]), theirs(scheduler, x))


def test_lcm_follows_lcm():
    # LCMScheduler also applies the boundary scaling of its distillation, which is 1 to within 1e-7 at these timesteps
    scheduler = LCMScheduler(**BETAS, clip_sample=False, original_inference_steps=50)
    scheduler.set_timesteps(4)
    sigmas = sigmas_of(scheduler)
    x = start_noise()
    result = theirs(scheduler, x, generator=torch.Generator().manual_seed(5))
    assert_close(ours("lcm", x / vp(sigmas[0]), sigmas, noise_seed=5), result)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_euler_follows_flow_match_euler(shift):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(STEPS)
    schedule = NoiseSchedule(Parameterization(prediction="flow", schedule="flow", shift=shift))
    x = start_noise()
    result = x
    for t in scheduler.timesteps:
        result = scheduler.step(toy_network(result, torch.full((2,), float(t))), t, result).prev_sample
    assert_close(ours("euler", x, scheduler.sigmas, schedule=schedule), result)


def test_a_wrong_schedule_would_be_seen():
    """The tolerance separates samplers: another sampler on the same run is far outside it."""
    scheduler = EulerDiscreteScheduler(**SPACING)
    scheduler.set_timesteps(STEPS)
    x = start_noise() * scheduler.sigmas[0]
    assert (ours("dpmpp_2m", x, scheduler.sigmas) - theirs(scheduler, x)).abs().max() > 100 * TOLERANCE
