"""`comfy.samplers`: names of samplers and schedules, and sampling with our models."""

from __future__ import annotations

import importlib
from typing import Any

from engine.plugins.compat.absent import AbsentMeta, absent_class, refuse
from engine.plugins.compat.running import current_context
from engine.plugins.compat.values import from_pack
from engine.sampling import names

_NEEDS = "samplers that packs may replace parts of"

KSAMPLER_NAMES = [*names.SAMPLER_NAMES, *names.SAMPLER_ALIASES]
SAMPLER_NAMES = list(KSAMPLER_NAMES)
SCHEDULER_NAMES = list(names.SCHEDULER_NAMES)
SCHEDULER_HANDLERS: dict[str, Any] = {
    name: (lambda model_sampling, steps, name=name: calculate_sigmas(model_sampling, name, steps))
    for name in SCHEDULER_NAMES
}

Sampler = absent_class("comfy.samplers.Sampler", _NEEDS)
CFGNoisePredictor = absent_class("comfy.samplers.CFGNoisePredictor", _NEEDS)
KSamplerX0Inpaint = absent_class("comfy.samplers.KSamplerX0Inpaint", _NEEDS)


class KSAMPLER(metaclass=AbsentMeta):
    """A function that takes the steps; ours are chosen by name (`sampler_object`)."""

    def __init__(self, sampler_function: Any, extra_options: Any = None, inpaint_options: Any = None) -> None:
        self.sampler_function = sampler_function
        self.extra_options = dict(extra_options or {})
        self.inpaint_options = dict(inpaint_options or {})

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """Take the steps."""
        refuse("comfy.samplers.KSAMPLER.sample", _NEEDS)

    def identity(self) -> str:
        """Refused: what a function of a pack computes has no name."""
        refuse("a sampler that is a function of a pack", _NEEDS)


def sampler_object(name: str) -> Any:
    """The sampler of that name, as SAMPLER inputs take it."""
    return names.Sampler(names.canonical_sampler(name))


def ksampler(sampler_name: str, extra_options: Any = None, inpaint_options: Any = None) -> Any:
    """The sampler of that name with options."""
    return names.Sampler(names.canonical_sampler(sampler_name), dict(extra_options or {}))


def calculate_sigmas(model_sampling: Any, scheduler_name: str, steps: int) -> Any:
    """The noise levels (steps + 1,) of a schedule."""
    from engine.sampling.schedules import compute_sigmas

    return compute_sigmas(model_sampling.parameterization, scheduler_name, steps)


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
        from engine.sampling.schedules import compute_sigmas

        self.steps = steps
        handle = from_pack(self.model)
        part = 1.0 if denoise is None or denoise > 0.9999 else denoise
        self.sigmas = compute_sigmas(
            handle.parameterization,
            self.scheduler,
            steps,
            denoise=part,
            sampler_name=names.canonical_sampler(self.sampler),
        )

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
        from engine.sampling.run import part_of_schedule

        levels = self.sigmas if sigmas is None else sigmas
        levels = part_of_schedule(levels, start_step, last_step, force_full_denoise=force_full_denoise)
        return run_model(
            self.model,
            noise,
            positive,
            negative,
            cfg,
            levels,
            self.sampler,
            latent_image,
            noise_mask=denoise_mask,
            callback=callback,
            seed=seed or 0,
        )


def run_model(
    model: Any,
    noise: Any,
    positive: Any,
    negative: Any,
    cfg: float,
    sigmas: Any,
    sampler: Any,
    latent: Any,
    *,
    noise_mask: Any = None,
    callback: Any = None,
    seed: int = 0,
) -> Any:
    """Denoise with our samplers under classifier-free guidance; `callback(step, denoised, x, total)` at each step."""
    import torch

    from engine.sampling.guiders import CfgGuidance
    from engine.sampling.run import sample as run

    if not isinstance(sampler, str | names.Sampler):
        refuse("a sampler that is a function of a pack", _NEEDS)
    denoising: Any = importlib.import_module("nodes.denoising")
    handle = from_pack(model)
    latent = torch.zeros_like(noise) if latent is None else latent
    with denoising.network_of(current_context(), handle) as network:
        if callback is not None:
            own = network["callback"]
            network["callback"] = lambda info: (own(info), callback(info.step, info.denoised, info.x, info.total))
        done = run(
            **network,
            guidance=CfgGuidance(positive, negative, cfg, denoising.rescale_of(handle)),
            noise=noise,
            latent=latent,
            sigmas=sigmas,
            sampler=names.canonical_sampler(sampler) if isinstance(sampler, str) else sampler,
            noise_mask=noise_mask,
            seed=seed,
        )
    return done.samples


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
    """Denoise a latent."""
    return run_model(
        model,
        noise,
        positive,
        negative,
        cfg,
        sigmas,
        sampler,
        latent_image,
        noise_mask=denoise_mask,
        callback=callback,
        seed=seed or 0,
    )


class CFGGuider(metaclass=AbsentMeta):
    """A model with its conditionings. Subclasses that change how predictions are combined are refused when they sample."""

    def __init__(self, model_patcher: Any) -> None:
        self.model_patcher = model_patcher
        self.model_options = getattr(model_patcher, "model_options", {})
        self.original_conds: dict[str, Any] = {}
        self.conds: dict[str, Any] = {}
        self.cfg = 1.0

    def set_conds(self, positive: Any, negative: Any) -> None:
        """What to go towards, and away from."""
        self.inner_set_conds({"positive": positive, "negative": negative})

    def set_cfg(self, cfg: float) -> None:
        """How strongly."""
        self.cfg = cfg

    def inner_set_conds(self, conds: dict[str, Any]) -> None:
        """Conditionings by name."""
        self.original_conds.update(conds)

    def predict_noise(self, x: Any, timestep: Any, model_options: Any = None, seed: int | None = None) -> Any:
        """There to be replaced by subclasses."""
        refuse("comfy.samplers.CFGGuider.predict_noise", "guidance that packs may replace")

    def sample(
        self,
        noise: Any,
        latent_image: Any,
        sampler: Any,
        sigmas: Any,
        denoise_mask: Any = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Any:
        """The denoised latent."""
        if type(self).predict_noise is not CFGGuider.predict_noise:
            refuse(f"{type(self).__name__}.predict_noise", "guidance that packs may replace")
        positive = self.original_conds.get("positive", [])
        negative = self.original_conds.get("negative", positive)
        return run_model(
            self.model_patcher,
            noise,
            positive,
            negative,
            self.cfg,
            sigmas,
            sampler,
            latent_image,
            noise_mask=denoise_mask,
            callback=callback,
            seed=seed or 0,
        )
