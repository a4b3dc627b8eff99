"""A run from noise to latent: what KSampler and the custom samplers of a workflow do."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.sampling.conditions import Controls, Surroundings
from engine.sampling.denoisers import Denoiser, Network
from engine.sampling.foreign import OwnGuidance, Run, TakesOver
from engine.sampling.guidance import GuidedDenoiser
from engine.sampling.guiders import CfgGuidance, Conditioning, Guidance
from engine.sampling.inpaint import MaskedDenoiser, restore
from engine.sampling.masks import latent_mask
from engine.sampling.names import BROUGHT_SAMPLERS, BROWNIAN, Sampler, known_sampler
from engine.sampling.noise import NoiseSampler, ancestral_noise, brownian_noise, initial_noise
from engine.sampling.noise_schedule import (
    NoiseSchedule,
    add_noise,
    fit_empty_latent,
    from_network_space,
    to_network_space,
)
from engine.sampling.samplers import SAMPLERS, SamplerFunction
from engine.sampling.samplers.steps import Callback, StepInfo, levels, silent
from engine.sampling.schedules import compute_sigmas


class Sampled(NamedTuple):
    """The end of a run, both (B, C, h, w) in VAE space: the sampler's x, and the last prediction of x_0."""

    samples: Tensor
    denoised: Tensor


@torch.no_grad()  # not inference_mode: the cache reads version counters, which inference tensors lack
def sample(
    network: Network,
    parameterization: Parameterization | NoiseSchedule,
    latent_format: LatentFormat,
    *,
    guidance: Guidance | OwnGuidance,
    noise: Tensor,
    latent: Tensor,
    sigmas: Tensor,
    sampler: Sampler | str | TakesOver | SamplerFunction = "euler",
    noise_mask: Tensor | None = None,
    seed: int = 0,
    batch_index: Sequence[int] | None = None,
    callback: Callback | None = None,
    controls: Controls | None = None,
    inpaint_model: bool = False,
    forwarded: Sequence[str] = (),
    max_rows: int | None = None,
    device: torch.device | str | None = None,
    hooks: TakesOver | None = None,
) -> Sampled:
    """Denoise `latent` (B, C, h, w), in VAE space, over `sigmas` (n + 1,), starting from it plus `noise`.

    `noise` (B, C, h, w) has unit variance; `seed` feeds samplers that draw more on the way. `noise_mask` (H, W),
    (B, H, W) or (B, 1, H, W), 0..1: where it is 0 the latent comes back bit for bit once the run ends at sigma 0.
    `controls` makes functions of the control objects in conditionings; `inpaint_model` gives the network mask and masked
    picture as further channels; `forwarded` names conditioning options to hand on to it. `max_rows` bounds the rows of
    one network call. `callback` is called once a step, and a run is cancelled by its raising. The run is on `device`
    (the latent's by default), the result on the latent's. No sigmas: the latent comes back as it is. `hooks`, or a
    sampler that takes over, makes the run its own.

    Raises ValueError for an unknown sampler or option, shapes that do not match, or an empty conditioning.
    """
    named = sampler.name if isinstance(sampler, Sampler) else sampler
    brought = BROUGHT_SAMPLERS.get(named) if isinstance(named, str) else None
    instead = next((one for one in (hooks, brought) if one is not None), sampler)
    if isinstance(instead, TakesOver):
        return _taken_over(
            instead,
            Run(
                network,
                parameterization,
                latent_format,
                guidance,
                noise,
                latent,
                sigmas,
                sampler,
                noise_mask,
                seed,
                batch_index,
                callback,
                controls,
                inpaint_model,
                forwarded,
                max_rows,
                device,
            ),
        )
    name, take_steps, options = _steps_of(sampler)
    _check_shapes(noise, latent, latent_format)
    if len(sigmas) < 2:
        return Sampled(latent, latent)
    place = torch.device(latent.device if device is None else device)
    schedule = NoiseSchedule.of(parameterization)
    start = to_network_space(latent.to(place, torch.float32), latent_format)
    unit_noise = noise.to(place, torch.float32)
    mask = None if noise_mask is None else latent_mask(noise_mask, start)
    around = Surroundings(schedule, latent_format, start, mask, controls, inpaint_model, forwarded)
    denoiser: Denoiser
    if isinstance(guidance, OwnGuidance):
        denoiser = guidance.denoiser(network, around, max_rows)
    else:
        denoiser = GuidedDenoiser(network, guidance, around, max_rows)
    if mask is not None:
        # DDIM's convention: what is kept gets noise of its own, not that of the part being made.
        kept_noise = initial_noise(latent, seed + 1).to(place) if name == "ddim" else unit_noise
        mask_at = guidance.mask_at if isinstance(guidance, OwnGuidance) else None
        denoiser = MaskedDenoiser(denoiser, schedule, mask, start, kept_noise, mask_at)
    sigma_list = levels(sigmas)
    x = add_noise(schedule, start, unit_noise, sigma_list[0], from_pure_noise=schedule.is_maximal(sigma_list[0]))
    watched = _Watch(callback or silent)
    x = take_steps(
        denoiser,
        x,
        sigmas,
        schedule=schedule,
        noise_sampler=noise_sampler_of(name, x, sigma_list, seed),
        callback=watched,
        **options,
    )
    samples = from_network_space(_unmixed(x, schedule, sigma_list[-1]), latent_format).to(latent.device)
    last = x if watched.denoised is None else watched.denoised
    predicted = from_network_space(last, latent_format).to(latent.device)
    if mask is not None and sigma_list[-1] == 0.0:
        samples = restore(samples, latent.to(samples), mask.to(samples.device))
    return Sampled(samples, predicted)


def ksampler(
    network: Network,
    parameterization: Parameterization | NoiseSchedule,
    latent_format: LatentFormat,
    *,
    latent: Mapping[str, Any],
    positive: Conditioning,
    negative: Conditioning,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    denoise: float = 1.0,
    start_step: int | None = None,
    last_step: int | None = None,
    disable_noise: bool = False,
    force_full_denoise: bool = False,
    rescale: float = 0.0,
    callback: Callback | None = None,
    controls: Controls | None = None,
    inpaint_model: bool = False,
    forwarded: Sequence[str] = (),
    max_rows: int | None = None,
    device: torch.device | str | None = None,
    hooks: TakesOver | None = None,
) -> dict[str, Any]:
    """Return the LATENT dict with `samples` (B, C, h, w) denoised; its other entries stay.

    KSampler gives `denoise` 0..1. KSamplerAdvanced gives `start_step` and `last_step` of the whole schedule,
    `disable_noise` (go on with the noise that the latent has) and `force_full_denoise` (the last step goes to zero even
    when it is not the schedule's last; otherwise noise is left over). An empty latent takes the model's channels.
    Everything else as `sample`.

    Raises ValueError as `sample` and `compute_sigmas` do.
    """
    samples = fit_empty_latent(latent["samples"], latent_format)
    batch_index = latent.get("batch_index")
    sigmas = compute_sigmas(parameterization, scheduler, steps, denoise=denoise, sampler_name=sampler_name)
    sigmas = part_of_schedule(sigmas, start_step, last_step, force_full_denoise=force_full_denoise)
    noise = torch.zeros_like(samples, device="cpu") if disable_noise else initial_noise(samples, seed, batch_index)
    result = sample(
        network,
        parameterization,
        latent_format,
        guidance=CfgGuidance(positive, negative, cfg, rescale),
        noise=noise,
        latent=samples,
        sigmas=sigmas,
        sampler=sampler_name,
        noise_mask=latent.get("noise_mask"),
        seed=seed,
        batch_index=batch_index,
        callback=callback,
        controls=controls,
        inpaint_model=inpaint_model,
        forwarded=forwarded,
        max_rows=max_rows,
        device=device,
        hooks=hooks,
    )
    return {**latent, "samples": result.samples}


def part_of_schedule(
    sigmas: Tensor, start_step: int | None, last_step: int | None, *, force_full_denoise: bool = False
) -> Tensor:
    """Return the levels from `start_step` to `last_step`, (n + 1,); (0,) when there is nothing left to do.

    `force_full_denoise` lets a part that stops early go to zero in its last step.
    """
    if last_step is not None and last_step < len(sigmas) - 1:
        sigmas = sigmas[: last_step + 1].clone()
        if force_full_denoise:
            sigmas[-1] = 0.0
    if start_step is None:
        return sigmas
    return sigmas[start_step:] if start_step < len(sigmas) - 1 else sigmas[:0]


class _Watch:
    """Passes each step on and keeps the last prediction."""

    def __init__(self, callback: Callback):
        self._callback = callback
        self.denoised: Tensor | None = None

    def __call__(self, info: StepInfo) -> None:
        self.denoised = info.denoised
        self._callback(info)


def _taken_over(instead: TakesOver, run: Run) -> Sampled:
    return Sampled(*instead.take_over(run))


def _steps_of(sampler: Any) -> tuple[str, SamplerFunction, Mapping[str, Any]]:
    """Return a sampler's name, the function that takes its steps, and its options; a function is one without a name."""
    if callable(sampler):
        return "", sampler, {}
    choice = Sampler(sampler) if isinstance(sampler, str) else sampler
    name = known_sampler(choice.name)
    _check_options(name, choice.options)
    return name, SAMPLERS[name], choice.options


def _check_options(name: str, options: Mapping[str, object]) -> None:
    taken = set(inspect.signature(SAMPLERS[name]).parameters)
    known = sorted(taken - {"denoiser", "x", "sigmas", "schedule", "noise_sampler", "callback"})
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"sampler {name}: no option {', '.join(unknown)}; it has: {', '.join(known) or 'none'}")


def _check_shapes(noise: Tensor, latent: Tensor, latent_format: LatentFormat) -> None:
    if noise.shape != latent.shape:
        raise ValueError(f"noise: expected the latent's shape {tuple(latent.shape)}, got {tuple(noise.shape)}")
    if latent.dim() < 4 or latent.shape[1] != latent_format.channels:
        raise ValueError(
            f"latent: expected (B, {latent_format.channels}, h, w) for this model, got {tuple(latent.shape)}; "
            "encode the picture with this model's VAE, or make an empty latent for this model"
        )


def noise_sampler_of(name: str, x: Tensor, sigmas: list[float], seed: int) -> NoiseSampler:
    """Return where the sampler `name` takes fresh noise like x (B, C, h, w) from, in a run over `sigmas`.

    A Brownian path runs between the run's own least and largest level, and so is another one for another number of steps.
    It knows nothing of a latent's batch index.
    """
    if name not in BROWNIAN:
        return ancestral_noise(x, seed)
    low = min(sigma for sigma in sigmas if sigma > 0.0)
    return brownian_noise(x, low, max(sigmas), seed, device=x.device if name.endswith("_gpu") else "cpu")


def _unmixed(x: Tensor, schedule: NoiseSchedule, sigma: float) -> Tensor:
    """Return x as a latent that a further run can start from: a flow's signal share is divided out."""
    share = schedule.alpha(sigma)
    return x / share if share not in (0.0, 1.0) else x
