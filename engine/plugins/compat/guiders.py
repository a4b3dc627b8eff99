"""Guiders of packs: a model with its conditionings, whose predictions a subclass may change, in runs of our sampler."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from engine.denoising.guided import GuidedModel
from engine.denoising.live import cfg_ranges_of
from engine.denoising.records import Run, Sampled, Start
from engine.denoising.run import sample
from engine.models.handles import HookedModel, ModelHandle
from engine.plugins.compat import guidance
from engine.plugins.compat.absent import AbsentMeta
from engine.plugins.compat.base_model import live
from engine.plugins.compat.model_options import copied, transformer_options
from engine.plugins.compat.patcher_extension import (
    CallbacksMP,
    WrapperExecutor,
    WrappersMP,
    get_all_callbacks,
    get_all_wrappers,
)
from engine.plugins.compat.sampler_helpers import convert_cond
from engine.plugins.compat.steps import Predictions, steps_of
from engine.plugins.compat.values import Wrapper
from engine.sampling.conditions import Surroundings
from engine.sampling.denoisers import Denoiser, Network
from engine.sampling.guidance import cfg_at, cfg_levels, dual
from engine.sampling.guiders import BasicGuidance, CfgGuidance, DualCfgGuidance
from engine.sampling.samplers.steps import StepInfo


class CFGGuider(Wrapper, metaclass=AbsentMeta):
    """A model with its conditionings under classifier-free guidance."""

    cfg: float = 1.0
    inner_model: Any = None
    running: Run | None = None
    """The run that it takes part in now."""
    sampled: Sampled | None = None
    """Where the last run ended."""

    def __init__(self, model_patcher: Any) -> None:
        self.model_patcher = model_patcher
        self.model_options = getattr(model_patcher, "model_options", {})
        self.original_conds: dict[str, Any] = {}
        self.conds: dict[str, Any] = {}
        self.loaded_models: list[Any] = []

    @property
    def handle(self) -> Any:
        """What goes on to other nodes: the model, with this guider around its runs."""
        return GuidedModel(hooked(self.model_patcher.plain_handle, self), CfgGuidance([], [], self.cfg))

    def set_conds(self, positive: Any, negative: Any) -> None:
        """What to go towards, and away from."""
        self.inner_set_conds({"positive": positive, "negative": negative})

    def set_cfg(self, cfg: float) -> None:
        """How strongly."""
        self.cfg = cfg

    def inner_set_conds(self, conds: dict[str, Any]) -> None:
        """Conditionings by name; the first is what is wanted."""
        for name, conditioning in conds.items():
            self.original_conds[name] = convert_cond(conditioning)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As `outer_predict_noise`."""
        return self.outer_predict_noise(*args, **kwargs)

    def outer_predict_noise(self, x: Any, timestep: Any, model_options: Any = None, seed: int | None = None) -> Any:
        """`predict_noise`, with the functions of packs around it."""
        wrappers = get_all_wrappers(WrappersMP.PREDICT_NOISE, self.model_options, is_model_options=True)
        executor = WrapperExecutor(self.predict_noise, self, wrappers, 0)
        return executor.execute(x, timestep, model_options or {}, seed)

    def predict_noise(self, x: Any, timestep: Any, model_options: Any = None, seed: int | None = None) -> Any:
        """Return x_0 (B, C, h, w) at x (B, C, h, w) and noise levels (B,)."""
        negative, positive = self.conds.get("negative"), self.conds.get("positive")
        samplers: Any = importlib.import_module("engine.plugins.compat.samplers")  # where packs put their own
        return samplers.sampling_function(
            self.inner_model,
            x,
            timestep,
            negative,
            positive,
            self._cfg_at(timestep),
            model_options=model_options,
            seed=seed,
        )

    def _cfg_at(self, timestep: Any) -> float:
        """How strongly at noise levels (B,): as it was set, or as CFGOverride put it on the model."""
        ranges = cfg_ranges_of(self.model_patcher.plain_handle)
        if self.running is None or not ranges:
            return self.cfg
        return cfg_at(cfg_levels(self.running.model.schedule, ranges), float(timestep.max()), self.cfg)

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
        """Return the latent (B, C, h, w) denoised over `sigmas` (n + 1,), starting from it plus `noise`."""
        if sigmas.shape[-1] == 0:
            return latent_image
        before = self.model_options
        self.model_options = copied(before)
        try:
            wrappers = get_all_wrappers(WrappersMP.OUTER_SAMPLE, self.model_options, is_model_options=True)
            executor = WrapperExecutor(self.outer_sample, self, wrappers, 0)
            shapes = {"latent_shapes": [tuple(noise.shape)]} if any(map(_wants_shapes, wrappers)) else {}
            return executor.execute(
                noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed, **shapes
            )
        finally:
            self.model_options, self.conds = before, {}

    def outer_sample(
        self,
        noise: Any,
        latent_image: Any,
        sampler: Any,
        sigmas: Any,
        denoise_mask: Any = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """`inner_sample` with the model held."""
        self.conds = {name: [dict(one) for one in conds] for name, conds in self.original_conds.items()}
        with self._held(noise, latent_image, sampler, sigmas) as device:
            self.inner_model = self.model_patcher.model
            _call(get_all_callbacks(CallbacksMP.ON_PRE_RUN, self.model_options, True), self.model_patcher)
            try:
                return self.inner_sample(
                    noise, latent_image, device, sampler, sigmas, denoise_mask, callback, disable_pbar, seed
                )
            finally:
                _call(get_all_callbacks(CallbacksMP.ON_CLEANUP, self.model_options, True), self.model_patcher)
                self.inner_model.run(None)
                self.inner_model = None

    def inner_sample(
        self,
        noise: Any,
        latent_image: Any,
        device: Any,
        sampler: Any,
        sigmas: Any,
        denoise_mask: Any = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Take the steps."""
        assert self.running is not None
        if latent_image is None:
            latent_image = torch.zeros_like(noise)
        options = copied(self.model_options)
        transformer_options(options)["sample_sigmas"] = sigmas.to(device)
        own = self.running.callback
        self.sampled = sample(
            self.running.model,
            Start(latent_image, noise, denoise_mask, seed or 0),
            _Predicting(self, options, sigmas, seed),
            sigmas,
            steps_of(sampler, self, options, noise, latent_image, denoise_mask, seed),
            own if callback is None else _both(own, callback),
        )
        return self.sampled.samples

    def take_over(self, run: Run) -> Sampled:
        """Have a run of our sampler be this guider's."""
        before, self.running, self.sampled = self.running, run, None
        start = run.start
        try:
            samples = self.sample(
                start.noise, start.latent, run.sampler, run.sigmas, start.noise_mask, None, True, start.seed
            )
        finally:
            self.running = before
        inner: Sampled | None = self.sampled
        return Sampled(samples, samples if inner is None else inner.denoised)

    @contextmanager
    def _held(self, noise: Any, latent: Any, sampler: Any, sigmas: Any) -> Iterator[Any]:
        """Have a run to take part in for the block: that of the node which is sampling, or one of its own."""
        with ExitStack() as held:
            before = self.running
            if before is None:
                held.callback(setattr, self, "running", None)
                model, report = held.enter_context(live(self.model_patcher.handle))
                how = CfgGuidance([], [], self.cfg)  # what it is steered by is asked of this guider
                self.running = Run(model, Start(latent, noise), how, sigmas, sampler, report)
            assert self.running is not None
            yield self.running.model.device


class Guider_Basic(CFGGuider):  # noqa: N801 - the field's name
    """One conditioning, without guidance."""

    def set_conds(self, positive: Any, negative: Any = None) -> None:
        """What to go towards."""
        self.inner_set_conds({"positive": positive})


class Guider_DualCFG(CFGGuider):  # noqa: N801 - the field's name
    """Two guidances at once (Brooks et al. 2023); see engine.sampling.guiders.DualCfgGuidance."""

    cfg1: float
    cfg2: float
    nested: bool

    def set_cfg(self, cfg1: float, cfg2: float = 1.0, nested: bool = False) -> None:
        """How strongly from the second towards the first, and from the negative towards the second."""
        self.cfg1, self.cfg2, self.nested = cfg1, cfg2, nested

    def set_conds(self, positive: Any, middle: Any, negative: Any = None) -> None:  # type: ignore[override]  # as the field has it
        """What to go towards, by way of what, and away from."""
        self.inner_set_conds({"positive": positive, "middle": middle, "negative": negative})

    def predict_noise(self, x: Any, timestep: Any, model_options: Any = None, seed: int | None = None) -> Any:
        """Return x_0 (B, C, h, w) at x (B, C, h, w) and noise levels (B,)."""
        lists = [self.conds[name] for name in ("positive", "middle", "negative")]
        found = guidance.calc_cond_batch(self.inner_model, lists, x, timestep, model_options)
        how = DualCfgGuidance([], [], [], self.cfg1, self.cfg2, self.nested)
        told = {
            "cond_scale": self.cfg1,
            "model": self.inner_model,
            "uncond_denoised": found[1] if self.nested else found[2],
            "cond_denoised": found[0],
            "sigma": timestep,
            "model_options": model_options or {},
            "input": x,
        }
        return guidance.after_guidance(dual(how, *found), told, lists[0], lists[2])


class _Predicting:
    """The guidance of a run: a guider asked at each step."""

    def __init__(self, guider: CFGGuider, options: dict[str, Any], sigmas: Tensor, seed: int | None) -> None:
        self._guider, self._options, self._sigmas, self._seed = guider, options, sigmas, seed

    def denoiser(self, network: Network, around: Surroundings, max_rows: int | None) -> Denoiser:
        """Resolve the guider's conditionings for a run, and return its predictions."""
        guider = self._guider
        assert guider.inner_model is not None
        guider.inner_model.run(guidance.Running(network, around, max_rows))
        names = list(guider.conds)
        lists = [_conditioning(guider.conds[name]) for name in names]
        guider.conds = dict(zip(names, guidance.as_conds(lists, around), strict=True))
        return Predictions(guider, {"model_options": self._options, "seed": self._seed})

    def mask_at(self, sigma: float, mask: Tensor) -> Tensor:
        """Return the noise mask (B, 1, h, w) that a function of a pack makes of the run's."""
        function = self._options.get("denoise_mask_function")
        if function is None:
            return mask
        level = mask.new_full((mask.shape[0],), sigma)
        extra = {"model": self._guider, "sigmas": self._sigmas.to(mask.device)}
        made: Tensor = function(level, mask, extra_options=extra)
        return made


def guider_for(how: Any, patcher: Any) -> CFGGuider:
    """The guider of a pack's kind that does what a guidance of ours says."""
    made: CFGGuider
    if isinstance(how, DualCfgGuidance):
        made = Guider_DualCFG(patcher)
        made.set_conds(how.positive, how.middle, how.negative)
        made.set_cfg(how.cfg_conds, how.cfg_middle, how.nested)
        return made
    if isinstance(how, BasicGuidance):
        made = Guider_Basic(patcher)
        made.set_conds(how.positive)
        return made
    made = CFGGuider(patcher)
    made.set_conds(how.positive, how.negative)
    made.set_cfg(how.cfg)
    patcher.model.rescale = how.rescale
    if how.always_negative:
        made.model_options = {**made.model_options, "disable_cfg1_optimization": True}
    return made


def of(guided: GuidedModel) -> CFGGuider:
    """The wrapper of a guider: the pack's own that it was made of, or one of its kind."""
    hooks = getattr(guided.model, "hooks", None)
    if isinstance(hooks, CFGGuider):
        return hooks
    if guided.negative_model is not None:
        raise ValueError(
            "A guider of two models (DualModelGuider) cannot be handed to a pack's node: connect it to SamplerCustomAdvanced."
        )
    from engine.plugins.compat.model_patcher import ModelPatcher

    return guider_for(guided.guidance, ModelPatcher.of(guided.model))


def hooked(handle: ModelHandle, hooks: Any) -> HookedModel:
    """The handle with functions of a pack around its runs."""
    facts = {name: getattr(handle, name) for name in ModelHandle.__struct_fields__}
    return HookedModel(**facts, hooks=hooks)


def _conditioning(conds: list[dict[str, Any]]) -> list[list[Any]]:
    """Conditions as dicts, as conditionings are written: the tensor beside the rest."""
    kept = ("cross_attn", "model_conds")
    return [[one["cross_attn"], {name: value for name, value in one.items() if name not in kept}] for one in conds]


def _wants_shapes(wrapper: Any) -> bool:
    """Whether a wrapper is written for the newer form of the field, which tells it the shapes of the latents."""
    return "latent_shapes" in inspect.signature(wrapper).parameters


def _call(functions: list[Any], patcher: Any) -> None:
    for function in functions:
        function(patcher)


def _both(own: Any, callback: Any) -> Any:
    def report(info: StepInfo) -> None:
        if own is not None:
            own(info)
        callback(info.step, info.denoised, info.x, info.total)

    return report
