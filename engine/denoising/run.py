"""A run from noise to latent: what KSampler and the custom samplers of a workflow do."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engine.datatypes.parameterization import LatentFormat
from engine.denoising.checks import check_start, check_texts, ended
from engine.denoising.live import DIFFERENTIAL_OPTION, cfg_ranges_of
from engine.denoising.model_guidance import steered_by
from engine.denoising.model_steering import lazy_of, noise_for, perturbed_of, self_guidances_of, steered, tell
from engine.denoising.pushes import pushes_of
from engine.denoising.records import (
    AnyGuidance,
    AnySampler,
    LiveModel,
    OwnGuidance,
    Run,
    Sampled,
    Staged,
    Start,
    StepPlan,
    TakesOver,
)
from engine.denoising.skipped_layers import negative_skip_of, skips_of
from engine.sampling.conditions import Hooked, Inputs, Steering, Surroundings
from engine.sampling.denoisers import Denoiser
from engine.sampling.guidance import GuidedDenoiser
from engine.sampling.guiders import CfgGuidance
from engine.sampling.inpaint import MaskAt, MaskedDenoiser, falling_threshold, restore
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
from engine.sampling.pushes import DifferentiableNetwork, PushedDenoiser
from engine.sampling.reuse import chosen
from engine.sampling.samplers import SAMPLERS, SamplerFunction
from engine.sampling.samplers.steps import Callback, StepInfo, levels, silent
from engine.sampling.schedules import compute_sigmas


@torch.no_grad()  # not inference_mode: the cache reads version counters, which inference tensors lack
def sample(
    model: LiveModel,
    start: Start,
    guidance: AnyGuidance,
    sigmas: Tensor,
    sampler: AnySampler = "euler",
    callback: Callback | None = None,
) -> Sampled:
    """Denoise `start` under `guidance` over `sigmas` (n + 1,).

    `callback` is called once a step, and a run is cancelled by its raising. The run is on the model's device, the result on
    the latent's. No sigmas: the latent comes back as it is. The model's hooks, or a sampler that takes over, make the run
    their own.

    Raises ValueError for an unknown sampler or option, shapes that do not match, or an empty conditioning.
    """
    if isinstance(sampler, Staged):
        return sampler.in_stages(Run(model, start, guidance, sigmas, sampler, callback))
    instead = _instead(model, sampler)
    if instead is not None:
        return instead.take_over(Run(replace(model, hooks=None), start, guidance, sigmas, sampler, callback))
    name, take_steps, options = _steps_of(sampler)
    _check_shapes(start.noise, start.latent, model.latent_format)
    if len(sigmas) < 2:
        return Sampled(start.latent, start.latent)
    model, guidance = steered(model, guidance, levels(sigmas))
    start = replace(start, noise=noise_for(model, start.noise, start.seed))
    around = _surroundings(model, start, sigmas)
    schedule, sigma_list = model.schedule, levels(sigmas)
    mask_at = _mask_at(model, guidance, sigma_list)
    denoiser, unit_noise = _denoiser(model, start, guidance, around, mask_at, own_noise=name == "ddim")
    check_texts(model, guidance)  # after what is told of sizes, and before the first step
    from_pure_noise = schedule.is_maximal(sigma_list[0])
    x = add_noise(schedule, around.latent, unit_noise, sigma_list[0], from_pure_noise=from_pure_noise)
    watched = _Watch(callback or silent)
    lazy = lazy_of(model)
    denoiser = chosen(denoiser, lazy)
    x = take_steps(
        denoiser,
        x,
        sigmas,
        schedule=schedule,
        noise_sampler=_scaled(noise_sampler_of(name, x, sigma_list, start.seed), schedule),
        callback=watched,
        **options,
    )
    tell(model, lazy, callback or silent)
    return _ended(x, watched.denoised, model, start, around.noise_mask, sigma_list[-1])


def ksampler(
    model: LiveModel,
    latent: Mapping[str, Any],
    guidance: CfgGuidance,
    plan: StepPlan,
    *,
    seed: int,
    add_noise: bool = True,
    callback: Callback | None = None,
) -> dict[str, Any]:
    """Return the LATENT dict with `samples` (B, C, h, w) denoised; its other entries stay.

    Without `add_noise` it goes on with the noise that the latent has. An empty latent takes the model's channels.
    Everything else as `sample`.

    Raises ValueError as `sample` and `compute_sigmas` do.
    """
    samples = fit_empty_latent(latent["samples"], model.latent_format)
    sigmas = levels_of(plan, model.schedule)
    if add_noise:
        noise = initial_noise(samples, seed, latent.get("batch_index"))
    else:
        noise = torch.zeros_like(samples, device="cpu")
    check_start(model, latent, noise, sigmas)
    start = Start(samples, noise, latent.get("noise_mask"), seed)
    result = sample(model, start, guidance, sigmas, plan.sampler_name, callback)
    return ended(model, latent, result.samples)


def levels_of(plan: StepPlan, schedule: NoiseSchedule) -> Tensor:
    """Return the noise levels that a plan runs over, (n + 1,); (0,) when there is nothing to do.

    Raises ValueError as `compute_sigmas` does.
    """
    sigmas = compute_sigmas(schedule, plan.scheduler, plan.steps, denoise=plan.denoise, sampler_name=plan.sampler_name)
    return part_of_schedule(sigmas, plan.start_step, plan.last_step, force_full_denoise=plan.force_full_denoise)


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


def _instead(model: LiveModel, sampler: AnySampler) -> TakesOver | None:
    """What makes the run its own: the model's hooks, a sampler that a pack brought by name, or the sampler itself."""
    if model.hooks is not None:
        return model.hooks
    named = sampler.name if isinstance(sampler, Sampler) else sampler
    brought = BROUGHT_SAMPLERS.get(named) if isinstance(named, str) else None
    found = sampler if brought is None else brought
    return found if isinstance(found, TakesOver) else None


def _surroundings(model: LiveModel, start: Start, sigmas: Tensor) -> Surroundings:
    """What conditions are resolved against: the latent in the network's space, where the run is, and the model's facts."""
    place = torch.device(start.latent.device if model.device is None else model.device)
    latent = to_network_space(start.latent.to(place, torch.float32), model.latent_format)
    mask = None if start.noise_mask is None else latent_mask(start.noise_mask, latent)
    steering = _steering(model)
    return Surroundings(
        model.schedule,
        model.latent_format,
        latent,
        mask,
        model.controls,
        model.inpaint_model,
        model.inputs if model.negative is None else _each_its_own(model, model.negative),
        model.repeats_text,
        model.guided_channels,
        start.seed,
        sigmas,
        _hooked(model, sigmas),
        steering=steering,
        negative_steering=steering if model.negative is None else _steering(model.negative),
    )


def _hooked(model: LiveModel, sigmas: Tensor) -> Hooked | None:
    """What makes the weights of hooks: of the network that predicts for the conditioning which has them."""
    other = model if model.negative is None else model.negative
    if model.hooked is None or other.hooked is None:
        return None
    own = model.hooked.resolver(model.schedule, sigmas)
    negative = own if other is model else other.hooked.resolver(other.schedule, sigmas)
    return lambda hooks, positive: (own if positive else negative)(hooks)


def _steering(model: LiveModel) -> tuple[Steering, ...]:
    make = model.controls
    return () if make is None else tuple(Steering(make, control) for control in model.steering)


def _each_its_own(model: LiveModel, negative: LiveModel) -> Inputs:
    """What the network of a conditioning takes beside text and time, where the negative one has another."""

    def inputs(options: Mapping[str, Any], latent: Tensor, positive: bool) -> Mapping[str, Any]:
        make = (model if positive else negative).inputs
        return {} if make is None else make(options, latent, positive)

    return inputs


def _denoiser(
    model: LiveModel,
    start: Start,
    guidance: AnyGuidance,
    around: Surroundings,
    mask_at: MaskAt | None,
    *,
    own_noise: bool,
) -> tuple[Denoiser, Tensor]:
    """Return the predictions of a run, held outside the mask, and the noise (B, C, h, w) that it starts with.

    `mask_at` makes the mask of a noise level. `own_noise`: what is kept gets noise of its own, not that of the part being made,
    which is DDIM's convention.
    """
    place = around.latent.device
    unit_noise = start.noise.to(place, torch.float32) * model.schedule.parameterization.noise_scale
    denoiser: Denoiser
    pushes = pushes_of(model)
    network, other = model.network, None if model.negative is None else model.negative.network
    if pushes:
        network, other = DifferentiableNetwork(network), None if other is None else DifferentiableNetwork(other)
    if isinstance(guidance, OwnGuidance):
        denoiser = guidance.denoiser(network, around, model.max_rows)
    else:
        guidance = steered_by(guidance, model.handle)
        if isinstance(guidance, CfgGuidance) and (ranges := cfg_ranges_of(model.handle)):
            guidance = replace(guidance, ranges=(*guidance.ranges, *ranges))
        skips = (
            skips_of(model) + perturbed_of(model),
            negative_skip_of(model if model.negative is None else model.negative),
        )
        selfs = self_guidances_of(model)
        denoiser = GuidedDenoiser(network, guidance, around, model.max_rows, other, *skips, selfs)
    if pushes:
        denoiser = PushedDenoiser(denoiser, pushes, model.schedule)
    if around.noise_mask is None:
        return denoiser, unit_noise
    scale = model.schedule.parameterization.noise_scale
    kept_noise = initial_noise(start.latent, start.seed + 1).to(place) * scale if own_noise else unit_noise
    held = MaskedDenoiser(denoiser, model.schedule, around.noise_mask, around.latent, kept_noise, mask_at)
    return held, unit_noise


def _mask_at(model: LiveModel, guidance: AnyGuidance, sigmas: Sequence[float]) -> MaskAt | None:
    """How the mask changes with the noise level: by what nodes told the model, then by a guidance of its own."""
    strength = model.handle.options.get(DIFFERENTIAL_OPTION) if model.handle else None
    told = None if strength is None else falling_threshold(model.schedule, sigmas[0], sigmas[-1], strength)
    if not isinstance(guidance, OwnGuidance):
        return told
    own = guidance.mask_at
    return own if told is None else lambda sigma, mask: own(sigma, told(sigma, mask))


def _ended(
    x: Tensor, denoised: Tensor | None, model: LiveModel, start: Start, mask: Tensor | None, sigma: float
) -> Sampled:
    """Both ends of a run that stopped at level `sigma`, in the space and on the device of its latent."""
    device = start.latent.device
    samples = from_network_space(_unmixed(x, model.schedule, sigma), model.latent_format).to(device)
    predicted = from_network_space(x if denoised is None else denoised, model.latent_format).to(device)
    if mask is not None and sigma == 0.0:
        samples = restore(samples, start.latent.to(samples), mask.to(samples.device))
    return Sampled(samples, predicted)


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


def _scaled(draw: NoiseSampler, schedule: NoiseSchedule) -> NoiseSampler:
    """Noise of the deviation that the network was trained with."""
    scale = schedule.parameterization.noise_scale
    return draw if scale == 1.0 else lambda sigma, sigma_next: draw(sigma, sigma_next) * scale


def _unmixed(x: Tensor, schedule: NoiseSchedule, sigma: float) -> Tensor:
    """Return x as a latent that a further run can start from: a flow's signal share is divided out."""
    share = schedule.alpha(sigma)
    return x / share if share not in (0.0, 1.0) else x
