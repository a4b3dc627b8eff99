"""Samplers of packs: functions in k-diffusion's convention, in runs of our sampler, and ours in that convention.

Such a function is `f(model, x, sigmas, extra_args=None, callback=None, disable=None, **options)`, where
`model(x, sigma, **extra_args)` is x_0 for noise levels (B,), and `callback` is given a dict at each step.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engine.denoising.records import Run
from engine.plugins.compat.absent import AbsentMeta, refuse
from engine.plugins.compat.model_options import copied
from engine.plugins.compat.patcher_extension import WrapperExecutor, WrappersMP, get_all_wrappers
from engine.plugins.compat.values import Wrapper
from engine.sampling import names
from engine.sampling.denoisers import Branches
from engine.sampling.masks import latent_mask
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule, to_network_space
from engine.sampling.samplers.steps import StepInfo


class Sampler(Wrapper, metaclass=AbsentMeta):
    """What takes the steps of a run; subclasses say how in `sample`."""

    @property
    def handle(self) -> Any:
        """What goes on to other nodes: itself."""
        return self

    def sample(
        self,
        model_wrap: Any,
        sigmas: Any,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Any,
        latent_image: Any = None,
        denoise_mask: Any = None,
        disable_pbar: bool = False,
    ) -> Any:
        """Return the latent (B, C, h, w) in the network's space; there to be replaced by subclasses."""
        refuse(f"{type(self).__name__}.sample", "a sampler with steps of its own")

    def max_denoise(self, model_wrap: Any, sigmas: Any) -> bool:
        """Whether a run starts from pure noise."""
        highest, first = float(model_wrap.inner_model.model_sampling.sigma_max), float(sigmas[0])
        return math.isclose(highest, first, rel_tol=1e-05) or first > highest

    def take_over(self, run: Run) -> Any:
        """Have a run of our sampler be made with guiders as packs know them."""
        from engine.plugins.compat.guiders import guider_for
        from engine.plugins.compat.model_patcher import ModelPatcher

        assert run.model.handle is not None  # runs in nodes are of models that a handle made
        return guider_for(run.guidance, ModelPatcher.of(run.model.handle)).take_over(run)


class KSAMPLER(Sampler):
    """A function that takes the steps, and its options; one of ours, chosen by name, stays a name."""

    def __init__(self, sampler_function: Any, extra_options: Any = None, inpaint_options: Any = None) -> None:
        self.sampler_function = sampler_function
        self.extra_options: dict[str, Any] = dict(extra_options or {})
        self.inpaint_options: dict[str, Any] = dict(inpaint_options or {})

    @classmethod
    def of(cls, sampler: names.Sampler) -> KSAMPLER:
        """The wrapper of a sampler of ours."""
        return cls(function_named(sampler.name), sampler.options)

    @property
    def named(self) -> names.Sampler | None:
        """It as a sampler of ours; None when its function is a pack's, or its options are not data."""
        name = getattr(self.sampler_function, "safelight_sampler", None)
        data = all(isinstance(value, int | float | str) for value in self.extra_options.values())
        if name is None or not data or (self.inpaint_options and name != "ddim"):
            return None
        return names.Sampler(name, self.extra_options)

    @property
    def handle(self) -> Any:
        """What goes on to other nodes."""
        return self.named or self

    def sample(
        self,
        model_wrap: Any,
        sigmas: Any,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Any,
        latent_image: Any = None,
        denoise_mask: Any = None,
        disable_pbar: bool = False,
    ) -> Any:
        """Return the latent (B, C, h, w) in the network's space after the steps of the function."""
        levels = model_wrap.inner_model.model_sampling
        extra_args["denoise_mask"] = denoise_mask
        model = KSamplerX0Inpaint(model_wrap, sigmas)
        model.latent_image = latent_image
        model.noise = noise
        if self.inpaint_options.get("random", False):
            model.noise = initial_noise(noise, (extra_args.get("seed") or 41) + 1).to(noise)
        x = levels.noise_scaling(sigmas[0], noise, latent_image, self.max_denoise(model_wrap, sigmas))
        total = len(sigmas) - 1
        told = None
        if callback is not None:
            told = lambda step: callback(step["i"], step["denoised"], step["x"], total)  # noqa: E731 - None otherwise
        found = self.sampler_function(
            model, x, sigmas, extra_args=extra_args, callback=told, disable=disable_pbar, **self.extra_options
        )
        return levels.inverse_noise_scaling(sigmas[-1], found)


class NamedSampler:
    """A sampler that a pack put into `comfy.k_diffusion.sampling`, for the nodes that choose by name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def take_over(self, run: Run) -> Any:
        """Have a run of our sampler be made with the pack's function. Raises ValueError when there is none."""
        sampler = sampler_object(self._name)
        if isinstance(run.sampler, names.Sampler):
            sampler.extra_options.update(run.sampler.options)
        return sampler.take_over(replace(run, sampler=sampler))


class KSamplerX0Inpaint:
    """A guider as a function of a pack calls it, which keeps what a mask says is to be kept."""

    latent_image: Any = None
    noise: Any = None

    def __init__(self, model: Any, sigmas: Any) -> None:
        self.inner_model = model
        self.sigmas = sigmas

    def __call__(
        self,
        x: Any,
        sigma: Any,
        denoise_mask: Any = None,
        model_options: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return x_0 (B, C, h, w) at x and noise levels (B,)."""
        options = model_options or {}
        if denoise_mask is None:
            return self.inner_model(x, sigma, model_options=options, seed=seed)
        if "denoise_mask_function" in options:
            extra = {"model": self.inner_model, "sigmas": self.sigmas}
            denoise_mask = options["denoise_mask_function"](sigma, denoise_mask, extra_options=extra)
        levels = self.inner_model.inner_model.model_sampling
        kept = levels.noise_scaling(sigma, self.noise, self.latent_image)
        found = self.inner_model(torch.lerp(kept, x, denoise_mask), sigma, model_options=options, seed=seed)
        return torch.lerp(self.latent_image, found, denoise_mask)


class Predictions:
    """A function of packs, `(x, levels (B,), model_options=…, …) -> x_0`, as our samplers ask for predictions."""

    def __init__(self, model: Any, given: dict[str, Any]) -> None:
        """`given` are the further arguments of each call."""
        self._model, self._given = model, given

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Return the guided prediction (B, C, h, w)."""
        found: Tensor = self._model(x, x.new_full((x.shape[0],), sigma), **self._given)
        return found

    def branches(self, x: Tensor, sigma: float) -> Branches:
        """Return it and the unconditional one, heard of by a function after guidance; where there is none, the other."""
        heard: list[Tensor] = []

        def hear(told: dict[str, Any]) -> Any:
            heard.append(told["cond_denoised"] if told.get("uncond") is None else told["uncond_denoised"])
            return told["denoised"]

        options = copied(self._given.get("model_options") or {})
        after = [*options.get("sampler_post_cfg_function", ()), hear]
        options |= {"sampler_post_cfg_function": after, "disable_cfg1_optimization": True}
        given = self._given | {"model_options": options}
        guided: Tensor = self._model(x, x.new_full((x.shape[0],), sigma), **given)
        return Branches(guided, heard[-1] if heard else guided)


def sampler_object(name: str) -> KSAMPLER:
    """The sampler of that name: ours, or a function `sample_NAME` that a pack put into `comfy.k_diffusion.sampling`."""
    return KSAMPLER(function_named(name), inpaint_options={"random": True} if name == "ddim" else None)


def function_named(name: str) -> Callable[..., Any]:
    """The function of a sampler in k-diffusion's convention. Raises ValueError for a name that is none."""
    module: Any = importlib.import_module("engine.plugins.compat.k_diffusion")
    found = vars(module).get(f"sample_{name}")
    if callable(found):
        function: Callable[..., Any] = found
        return function
    return field_function(names.known_sampler(name))


def field_function(name: str) -> Callable[..., Any]:
    """Our sampler `name` as a function in k-diffusion's convention."""

    def take_steps(
        model: Any,
        x: Any,
        sigmas: Any,
        extra_args: Any = None,
        callback: Any = None,
        disable: Any = None,
        noise_sampler: Any = None,
        **options: Any,
    ) -> Any:
        """Return x (B, C, h, w) after the steps over `sigmas` (n + 1,)."""
        from engine.denoising.run import noise_sampler_of
        from engine.sampling.samplers import SAMPLERS
        from engine.sampling.samplers.steps import levels, silent

        given = dict(extra_args or {})
        noise = noise_sampler_of(name, x, levels(sigmas), int(given.get("seed") or 0))
        if noise_sampler is not None:
            noise = lambda sigma, following: noise_sampler(x.new_tensor(sigma), x.new_tensor(following))  # noqa: E731
        known = inspect.signature(SAMPLERS[name]).parameters
        return SAMPLERS[name](
            Predictions(model, given),
            x,
            sigmas,
            schedule=_schedule_of(model),
            noise_sampler=noise,
            callback=silent if callback is None else lambda info: callback(_told(info, x)),
            **{option: value for option, value in options.items() if option in known},
        )

    take_steps.__name__ = f"sample_{name}"
    take_steps.safelight_sampler = name  # type: ignore[attr-defined]  # functions take attributes
    return take_steps


def steps_of(
    sampler: Any,
    guider: Any,
    options: dict[str, Any],
    noise: Any,
    latent: Any,
    mask: Any,
    seed: int | None,
) -> Any:
    """A sampler of any kind as `engine.denoising.run.sample` takes it, for a run that `guider` predicts in."""
    wrappers = get_all_wrappers(WrappersMP.SAMPLER_SAMPLE, options, is_model_options=True)
    if isinstance(sampler, str):
        sampler = sampler_object(sampler)
    elif isinstance(sampler, names.Sampler):
        sampler = KSAMPLER.of(sampler)
    named = getattr(sampler, "named", None)
    if named is not None and not wrappers:
        return named

    def take_steps(
        denoiser: Any, x: Tensor, sigmas: Tensor, *, schedule: NoiseSchedule, noise_sampler: Any, callback: Any
    ) -> Any:
        start = to_network_space(latent.to(x), guider.running.model.latent_format)
        fitted = None if mask is None else latent_mask(mask, start)
        levels = sigmas.to(x.device)

        def told(step: int, denoised: Any, now: Any, total: int) -> None:
            callback(StepInfo(step, total, now, denoised, float(sigmas[min(step, len(sigmas) - 1)])))

        executor = WrapperExecutor(sampler.sample, sampler, wrappers, 0)
        given = {"model_options": options, "seed": seed}
        found = executor.execute(guider, levels, given, told, noise.to(x), start, fitted, True)
        share = schedule.alpha(float(sigmas[-1]))  # `sample` divides it out, as pack's samplers did already
        return found * share if share not in (0.0, 1.0) else found

    return take_steps


def _schedule_of(model: Any) -> NoiseSchedule:
    """The noise levels of the model that a function of a sampler was given; Stable Diffusion's when it has none."""
    from engine.datatypes.parameterization import Parameterization
    from engine.plugins.compat.model_sampling import schedule_of

    inner = getattr(getattr(model, "inner_model", None), "inner_model", None)
    levels = getattr(inner, "model_sampling", None)
    return NoiseSchedule.of(Parameterization() if levels is None else schedule_of(levels))


def _told(info: StepInfo, x: Tensor) -> dict[str, Any]:
    level = x.new_tensor(info.sigma)
    return {"x": info.x, "i": info.step, "sigma": level, "sigma_hat": level, "denoised": info.denoised}
