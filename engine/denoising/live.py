"""A model made ready for a run in a node: the network on its device, its control networks, and the one callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engine.denoising.hooked import HookedNetwork
from engine.denoising.inside.network import patched
from engine.denoising.previews import PreviewMaker, Watched
from engine.denoising.records import LiveModel
from engine.models.handles import ControlUse, ModelHandle, VaeHandle
from engine.models.network import Company
from engine.sampling.guiders import CfgRange
from engine.sampling.masks import repeat_to
from engine.sampling.noise_schedule import NoiseSchedule, fit_empty_latent
from engine.sampling.samplers.steps import Callback, StepInfo

if TYPE_CHECKING:
    from engine.models.manager import ModelManager
    from engine.models.network import Network
    from engine.sampling.conditions import ControlFunction

RESCALE_OPTION = "cfg_rescale"
"""Option of a model handle under which RescaleCFG leaves its multiplier."""

DIFFERENTIAL_OPTION = "differential"
"""Option of a model handle under which DifferentialDiffusion leaves its strength."""

CHANNELS_OPTION = "cfg_channels"
"""Option of a model handle under which GuideChannels leaves how many channels guidance is for."""

_CFG_RANGES = "cfg_ranges"
"""The same for CFGOverride: [cfg, start, end] of each."""


@contextmanager
def live_model(models: ModelManager, handle: ModelHandle, negative: ModelHandle | None = None) -> Iterator[LiveModel]:
    """Hold the device and give the model of `handle`, loaded and patched, as a run wants it.

    `negative` predicts for negative conditionings, where it is another. ControlNets that the conditionings turn out to have
    are held with it, from their first use to the end of the block.
    """
    with ExitStack() as held:
        other = None if negative is None else held.enter_context(live_model(models, negative))
        network = held.enter_context(models.use(handle))
        schedule = NoiseSchedule.of(handle.parameterization)
        yield LiveModel(
            patched(network, handle, schedule),
            schedule,
            handle.latent,
            controls=lambda use, pictures: _control(models, held, use, pictures, network),
            device=network.device,
            inpaint_model=handle.extra_channels > 0,
            inputs=network.inputs,
            repeats_text=network.repeats_text,
            hooks=getattr(handle, "hooks", None),
            handle=handle,
            guided_channels=handle.options.get(CHANNELS_OPTION),
            negative=other,
            steering=handle.controls,
            hold=lambda further: held.enter_context(models.use(further)),
            hooked=HookedNetwork(models, network, handle),
        )


def report_to(node: Watched, model: ModelHandle) -> Callback:
    """Tell a node's context of every step: progress (which also cancels), and a preview, which it has made now and then."""
    return _Report(node, PreviewMaker(node, model))


class _Report:
    """What a run tells its node: each step, and notes on the whole."""

    def __init__(self, node: Watched, make: PreviewMaker) -> None:
        self._node, self._make = node, make

    def __call__(self, step: StepInfo) -> None:
        self._node.progress(step.step + 1, step.total)
        self._node.preview(lambda: self._make(step))

    def note(self, text: str) -> None:
        self._node.warn(text)


def rescale_of(model: ModelHandle) -> float:
    """The guidance rescale that RescaleCFG put on the model; 0 when it did not."""
    return float(model.options.get(RESCALE_OPTION, 0.0))


def with_cfg_range(model: ModelHandle, cfg: float, start: float, end: float) -> ModelHandle:
    """Return the model with another cfg while the share of sampling done is within `start`..`end`; of several the last counts."""
    return model.with_option(_CFG_RANGES, [*model.options.get(_CFG_RANGES, ()), [cfg, start, end]])


def cfg_ranges_of(model: ModelHandle | None) -> tuple[CfgRange, ...]:
    """The ranges with another cfg that nodes put on a model."""
    return tuple(CfgRange(*told) for told in model.options.get(_CFG_RANGES, ())) if model else ()


def latent_for(model: ModelHandle, latent: dict[str, Any]) -> dict[str, Any]:
    """Return `latent` in the model's shape: an empty (all-zero) one is remade, another that does not fit is an error."""
    samples = fit_empty_latent(latent["samples"], model.latent)
    channels, frames = model.latent.channels, ", T" if model.latent.axes == 3 else ""
    if samples.ndim == 2 + model.latent.axes and samples.shape[1] == channels and samples.numel():
        return latent if samples is latent["samples"] else {**latent, "samples": samples}
    raise ValueError(
        f"latent_image: this model denoises latents of {channels} channels (B, {channels}{frames}, h, w), none of these 0; "
        f"it was given {tuple(samples.shape)}. Encode the picture with the VAE that belongs to the model, or make an empty "
        "latent for it."
    )


def _control(
    models: ModelManager, held: ExitStack, use: ControlUse, pictures: int, network: Network
) -> ControlFunction:
    """The residuals of one control; the network fits the control pictures to whatever size and rows it is asked for.

    They are repeated (or cut) to the pictures of the run first, so that each picture has the same under every condition.
    """
    control = held.enter_context(models.use(use.handle))
    hint = _spread(use.hint, pictures)
    mask, fill = (None if one is None else _spread(one, pictures) for one in (use.mask, use.fill))
    company = Company(network, _encoder(models, use.vae), mask, fill)

    def residuals(x: Tensor, t: Tensor, context: Tensor, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return control(x, t, context, hint, use.strength, options, company)

    return residuals


def _spread(pictures: Tensor, count: int) -> Tensor:
    return pictures if len(pictures) == 1 else repeat_to(pictures, count)


def _encoder(models: ModelManager, vae: VaeHandle | None) -> Callable[[Tensor], Tensor] | None:
    """What makes latents of control pictures (N, H, W, 3)."""
    if vae is None:
        return None

    def encode(pictures: Tensor) -> Tensor:
        with models.use(vae) as autoencoder:
            return torch.cat([autoencoder.encode(one[None]) for one in pictures])

    return encode
