"""Schedules as values: nodes that make, cut and turn sigmas, the falling noise levels (steps + 1,) of a run."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import torch

from engine.api import Denoise, In, Model, Out, Sigmas, Steps, node
from engine.sampling import schedules
from engine.sampling.noise_schedule import NoiseSchedule
from nodes.dimensions import MAX_RESOLUTION
from nodes.sampling import SchedulerName

SigmaMax = Annotated[float, In(ge=0, le=5000, step=0.01, round=False, tip="The noise level to start from.")]
SigmaMin = Annotated[float, In(ge=0, le=5000, step=0.01, round=False, tip="The last noise level above zero.")]
IdeogramSide = Annotated[int, In(ge=256, le=8192, step=16, tip="A side of the picture to be, in pixels.")]
Rho = Annotated[float, In(ge=0, le=100, step=0.01, round=False, tip="How strongly steps gather at low noise.")]

PictureSide = Annotated[int, In(ge=16, le=MAX_RESOLUTION, step=1, tip="Pixels of the picture to be.")]


class HighAndLow(NamedTuple):
    """The two parts of a schedule; the level at the cut is in both."""

    high_sigmas: Annotated[Sigmas, Out(name="high_sigmas")]
    low_sigmas: Annotated[Sigmas, Out(name="low_sigmas")]


@node("BasicScheduler", category="sampling/custom_sampling/schedulers")
def basic_scheduler(
    model: Model, scheduler: SchedulerName = "simple", steps: Steps = 20, denoise: Denoise = 1.0
) -> Sigmas:
    """A schedule by name, over the noise levels that the model was trained on.

    Where a schedule has more levels than asked (ddim_uniform), these are the last `steps` + 1.
    """
    return schedules.compute_sigmas(model.parameterization, scheduler, steps, denoise=denoise)[-(steps + 1) :]


@node("KarrasScheduler", category="sampling/custom_sampling/schedulers")
def karras_scheduler(
    steps: Steps = 20, sigma_max: SigmaMax = 14.614642, sigma_min: SigmaMin = 0.0291675, rho: Rho = 7.0
) -> Sigmas:
    """Karras et al. 2022: even in sigma^(1 / rho)."""
    return schedules.karras_sigmas(steps, sigma_min, sigma_max, rho)


@node("ExponentialScheduler", category="sampling/custom_sampling/schedulers")
def exponential_scheduler(
    steps: Steps = 20, sigma_max: SigmaMax = 14.614642, sigma_min: SigmaMin = 0.0291675
) -> Sigmas:
    """Even in the logarithm of the noise level."""
    return schedules.exponential_sigmas(steps, sigma_min, sigma_max)


@node("PolyexponentialScheduler", category="sampling/custom_sampling/schedulers")
def polyexponential_scheduler(
    steps: Steps = 20, sigma_max: SigmaMax = 14.614642, sigma_min: SigmaMin = 0.0291675, rho: Rho = 1.0
) -> Sigmas:
    """Polynomial in the logarithm of the noise level."""
    return schedules.polyexponential_sigmas(steps, sigma_min, sigma_max, rho)


@node("LaplaceScheduler", category="sampling/custom_sampling/schedulers")
def laplace_scheduler(
    steps: Steps = 20,
    sigma_max: SigmaMax = 14.614642,
    sigma_min: SigmaMin = 0.0291675,
    mu: Annotated[float, In(ge=-10, le=10, step=0.1, round=False, tip="Centre, in log sigma.")] = 0.0,
    beta: Annotated[float, In(ge=0, le=10, step=0.1, round=False, tip="Width.")] = 0.5,
) -> Sigmas:
    """Log noise levels at quantiles of a Laplace distribution (Hang et al. 2024); no zero comes after the last."""
    return schedules.laplace_sigmas(steps, sigma_min, sigma_max, mu, beta)


@node("VPScheduler", category="sampling/custom_sampling/schedulers")
def vp_scheduler(
    steps: Steps = 20,
    beta_d: Annotated[float, In(ge=0, le=5000, step=0.01, round=False, tip="Growth of the noise rate.")] = 19.9,
    beta_min: Annotated[float, In(ge=0, le=5000, step=0.01, round=False, tip="First noise rate.")] = 0.1,
    eps_s: Annotated[float, In(ge=0, le=1, step=0.0001, round=False, tip="The time to end at.")] = 0.001,
) -> Sigmas:
    """Even in the time of the continuous variance-preserving process (Song et al. 2021)."""
    return schedules.vp_sigmas(steps, beta_d, beta_min, eps_s)


@node("BetaSamplingScheduler", category="sampling/custom_sampling/schedulers")
def beta_sampling_scheduler(
    model: Model,
    steps: Steps = 20,
    alpha: Annotated[float, In(ge=0, le=50, step=0.01, round=False, tip="Lower: denser at high noise.")] = 0.6,
    beta: Annotated[float, In(ge=0, le=50, step=0.01, round=False, tip="Lower: denser at low noise.")] = 0.6,
) -> Sigmas:
    """Timesteps at quantiles of a beta distribution (Lee et al. 2024)."""
    return schedules.beta(NoiseSchedule.of(model.parameterization), steps, alpha, beta)


@node("LinearQuadraticScheduler", category="sampling/custom_sampling/schedulers")
def linear_quadratic_scheduler(
    model: Model,
    steps: Steps = 20,
    threshold_noise: Annotated[float, In(ge=0, le=1, step=0.005, tip="Share of the noise taken linearly.")] = 0.025,
) -> Sigmas:
    """Small linear steps for the first half, then quadratic."""
    return schedules.linear_quadratic(NoiseSchedule.of(model.parameterization), steps, threshold_noise)


@node("SDTurboScheduler", category="sampling/custom_sampling/schedulers")
def sd_turbo_scheduler(
    model: Model,
    steps: Annotated[int, In(ge=1, le=10, tip="How many denoising steps to take.")] = 1,
    denoise: Denoise = 1.0,
) -> Sigmas:
    """The ten levels that SD Turbo was distilled for (Sauer et al. 2023): every hundredth timestep from the top."""
    schedule = NoiseSchedule.of(model.parameterization)
    start = 10 - int(10 * denoise)
    timesteps = [1000 - 100 * index - 1 for index in range(10)][start : start + steps]
    return torch.tensor([*(schedule.sigma(timestep) for timestep in timesteps), 0.0])


@node("Ideogram4Scheduler", category="sampling/custom_sampling/schedulers", display_name="Ideogram 4 Scheduler")
def ideogram4_scheduler(
    steps: Annotated[int, In(ge=1, le=200, tip="How many denoising steps to take.")] = 20,
    width: IdeogramSide = 1024,
    height: IdeogramSide = 1024,
    mu: Annotated[
        float, In(ge=-10, le=10, step=0.05, tip="Centre, in logits of the level, at 512 × 512 pixels.")
    ] = 0.0,
    std: Annotated[float, In(ge=0.1, le=5, step=0.05, tip="Width, in logits of the level.")] = 1.75,
) -> Sigmas:
    """Levels at quantiles of a logit-normal distribution, whose centre moves up with the size of the picture."""
    return schedules.logit_normal_sigmas(steps, mu + 0.5 * math.log(width * height / 512**2), std)


@node("Flux2Scheduler", category="sampling/custom_sampling/schedulers", display_name=None)
def flux2_scheduler(
    steps: Annotated[int, In(ge=1, le=4096, tip="How many denoising steps to take.")] = 20,
    width: PictureSide = 1024,
    height: PictureSide = 1024,
) -> Sigmas:
    """FLUX.2's schedule: shifted by the size of the picture, a token being 16 × 16 of its pixels, and by the steps."""
    return schedules.flux2_sigmas(steps, round(width * height / 256))


@node("SplitSigmas", category="sampling/custom_sampling/sigmas")
def split_sigmas(
    sigmas: Sigmas, step: Annotated[int, In(ge=0, le=10_000, tip="Steps in the first part.")] = 0
) -> HighAndLow:
    """Cut a schedule after `step` steps."""
    return HighAndLow(sigmas[: step + 1], sigmas[step:])


@node("SplitSigmasDenoise", category="sampling/custom_sampling/sigmas")
def split_sigmas_denoise(sigmas: Sigmas, denoise: Denoise = 1.0) -> HighAndLow:
    """Cut a schedule so that the second part holds the share `denoise` of its steps.

    With no step in the second part there are no levels in the first: so saved workflows have it.
    """
    steps = max(len(sigmas) - 1, 0)
    kept = round(steps * denoise)
    cut = steps - kept
    return HighAndLow(sigmas[: cut + 1 if kept else 0], sigmas[cut:])


@node("FlipSigmas", category="sampling/custom_sampling/sigmas")
def flip_sigmas(sigmas: Sigmas) -> Sigmas:
    """Turn a schedule round, so that a sampler runs from the picture to its noise."""
    flipped = sigmas.flip(0)
    if len(flipped) and flipped[0] == 0:
        flipped[0] = 0.0001  # a step from exactly zero has no slope
    return flipped


@node("SetFirstSigma", category="sampling/custom_sampling/sigmas")
def set_first_sigma(
    sigmas: Sigmas,
    sigma: Annotated[float, In(ge=0, le=20_000, step=0.001, round=False, tip="The new first level.")] = 136.0,
) -> Sigmas:
    """Replace the level that a schedule starts from."""
    return torch.cat((sigmas.new_tensor([sigma]), sigmas[1:]))


@node("ManualSigmas", category="sampling/custom_sampling/sigmas")
def manual_sigmas(
    sigmas: Annotated[str, In(tip="Noise levels, falling, separated by commas or spaces.")] = "1, 0.5",
) -> Sigmas:
    """A schedule written out."""
    try:
        return torch.tensor([float(level) for level in sigmas.replace(",", " ").split()])
    except ValueError as error:
        raise ValueError(f"ManualSigmas: expected numbers such as '14.6, 3.2, 0', got {sigmas!r} ({error}).") from error
