"""`comfy.samplers`: names of samplers and schedules, and sampling with our models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from engine.plugins.compat import model_sampling
from engine.plugins.compat.absent import absent_class
from engine.plugins.compat.guidance import calc_cond_batch, cfg_function, sampling_function
from engine.plugins.compat.guiders import CFGGuider
from engine.plugins.compat.model_sampling import schedule_of
from engine.plugins.compat.steps import KSAMPLER, KSamplerX0Inpaint, Sampler, function_named, sampler_object
from engine.sampling import names

__all__ = [
    "KSAMPLER",
    "CFGGuider",
    "KSamplerX0Inpaint",
    "Sampler",
    "calc_cond_batch",
    "cfg_function",
    "sampler_object",
    "sampling_function",
]

_NEEDS = "samplers that packs may replace parts of"

KSAMPLER_NAMES = list(names.SAMPLER_NAMES)
SAMPLER_NAMES = list(KSAMPLER_NAMES)
SCHEDULER_NAMES = list(names.SCHEDULER_NAMES)


class SchedulerHandler(NamedTuple):
    """How the noise levels of a schedule are made: of (model_sampling, steps), or of (steps, sigma_min, sigma_max)."""

    handler: Callable[..., Any]
    use_ms: bool = True


def _schedule(name: str) -> Callable[..., Any]:
    return lambda model_sampling, steps: calculate_sigmas(model_sampling, name, steps)


SCHEDULER_HANDLERS: dict[str, Any] = {name: SchedulerHandler(_schedule(name)) for name in SCHEDULER_NAMES}
"""Packs add their own."""

CFGNoisePredictor = absent_class("comfy.samplers.CFGNoisePredictor", _NEEDS)


def ksampler(sampler_name: str, extra_options: Any = None, inpaint_options: Any = None) -> Any:
    """The sampler of that name with options."""
    return KSAMPLER(function_named(sampler_name), extra_options, inpaint_options)


def calculate_sigmas(model_sampling: Any, scheduler_name: str, steps: int) -> Any:
    """The noise levels (steps + 1,) of a schedule."""
    from engine.sampling.schedules import compute_sigmas

    own = SCHEDULER_HANDLERS.get(scheduler_name)
    if scheduler_name not in names.SCHEDULER_NAMES and own is not None:
        if own.use_ms:
            return own.handler(model_sampling, steps)
        low, high = float(model_sampling.sigma_min), float(model_sampling.sigma_max)
        return own.handler(n=steps, sigma_min=low, sigma_max=high)
    return compute_sigmas(schedule_of(model_sampling), scheduler_name, steps)


class PackSchedule:
    """A schedule that a pack put into SCHEDULER_HANDLERS, as our nodes use schedules."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, schedule: Any, steps: int) -> Any:
        """The noise levels (steps + 1,)."""
        return calculate_sigmas(model_sampling.of(schedule), self._name, steps).float().cpu()


class KSampler:
    """Sampling with a model, as nodes of packs call it."""

    SCHEDULERS = SCHEDULER_NAMES
    SAMPLERS = SAMPLER_NAMES
    DISCARD_PENULTIMATE_SIGMA_SAMPLERS = frozenset(names.DISCARD_PENULTIMATE_SIGMA)

    def __init__(
        self,
        model: Any,
        steps: int,
        device: Any,
        sampler: Any = None,
        scheduler: Any = None,
        denoise: float | None = None,
        model_options: Any = None,
    ) -> None:
        self.model = model
        self.device = device
        self.scheduler = scheduler if scheduler in self.SCHEDULERS else self.SCHEDULERS[0]
        self.sampler = sampler if sampler in self.SAMPLERS else self.SAMPLERS[0]
        self.model_options = model_options or {}
        self.denoise = denoise
        self.set_steps(steps, denoise)

    def set_steps(self, steps: int, denoise: float | None = None) -> None:
        """Compute the noise levels."""
        self.steps = steps
        if denoise is None or denoise > 0.9999:
            self.sigmas = self.calculate_sigmas(steps)
        elif denoise <= 0.0:
            self.sigmas = torch.zeros(0)
        else:
            self.sigmas = self.calculate_sigmas(int(steps / denoise))[-(steps + 1) :]

    def calculate_sigmas(self, steps: int) -> Any:
        """The noise levels of a whole run; the one before zero is left out for the samplers that want that."""
        discard = self.sampler in self.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
        levels = self.model.get_model_object("model_sampling")
        sigmas = calculate_sigmas(levels, self.scheduler, steps + 1 if discard else steps)
        return torch.cat([sigmas[:-2], sigmas[-1:]]) if discard else sigmas

    def sample(
        self,
        noise: Any,
        positive: Any,
        negative: Any,
        cfg: float,
        latent_image: Any = None,
        start_step: int | None = None,
        last_step: int | None = None,
        force_full_denoise: bool = False,
        denoise_mask: Any = None,
        sigmas: Any = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Any:
        """The denoised latent (B, C, h, w)."""
        from engine.denoising.run import part_of_schedule

        levels = self.sigmas if sigmas is None else sigmas
        levels = part_of_schedule(levels, start_step, last_step, force_full_denoise=force_full_denoise)
        return sample(
            self.model,
            noise,
            positive,
            negative,
            cfg,
            self.device,
            sampler_object(self.sampler),
            levels,
            self.model_options,
            torch.zeros_like(noise) if latent_image is None else latent_image,
            denoise_mask,
            callback,
            disable_pbar,
            seed,
        )


def sample(
    model: Any,
    noise: Any,
    positive: Any,
    negative: Any,
    cfg: float,
    device: Any,
    sampler: Any,
    sigmas: Any,
    model_options: Any = None,
    latent_image: Any = None,
    denoise_mask: Any = None,
    callback: Any = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Any:
    """Denoise a latent: the guided prediction of a model, the steps of a sampler."""
    guider = CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    return guider.sample(noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed)
