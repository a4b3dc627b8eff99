"""What every sampling node needs: the network on its device, its control networks, and the one callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from engine.api import Context, Latent
from engine.models.handles import ControlUse, ModelHandle
from engine.sampling.masks import repeat_to
from engine.sampling.samplers.steps import Callback, StepInfo
from nodes.previews import PreviewMaker

RESCALE_OPTION = "cfg_rescale"
"""Option of a model handle under which RescaleCFG leaves its multiplier."""


@contextmanager
def network_of(ctx: Context, model: ModelHandle) -> Iterator[dict[str, Any]]:
    """Hold the model's device and give the arguments that `engine.sampling.run` wants of a model."""
    with ExitStack() as held:
        network = held.enter_context(ctx.models.use(model))
        yield {
            "network": network,
            "device": network.device,
            "parameterization": model.parameterization,
            "latent_format": model.latent,
            "controls": lambda use, pictures: _control(ctx, held, use, pictures),
            "inpaint_model": model.extra_channels > 0,
            "callback": report_to(ctx, model),
            "hooks": getattr(model, "hooks", None),
        }


def report_to(ctx: Context, model: ModelHandle) -> Callback:
    """Tell the context of every step: progress (which also cancels), and a preview, which it has made now and then."""

    make = PreviewMaker(ctx, model)

    def report(step: StepInfo) -> None:
        ctx.progress(step.step + 1, step.total)
        ctx.preview(lambda: make(step))

    return report


def rescale_of(model: ModelHandle) -> float:
    """The guidance rescale that RescaleCFG put on the model; 0 when it did not."""
    return float(model.options.get(RESCALE_OPTION, 0.0))


def latent_for(model: ModelHandle, latent: Latent) -> Latent:
    """Return `latent` in the model's channels: an empty (all-zero) one is remade, another that does not fit is an error."""
    samples = latent["samples"]
    channels = model.latent.channels
    if samples.shape[1] == channels:
        return latent
    if torch.count_nonzero(samples):
        raise ValueError(
            f"latent_image: this model denoises latents of {channels} channels (B, {channels}, h, w); "
            f"it was given {tuple(samples.shape)}. Encode the picture with the VAE that belongs to the model."
        )
    return {**latent, "samples": samples.new_zeros((samples.shape[0], channels, *samples.shape[2:]))}


def _control(ctx: Context, held: ExitStack, use: ControlUse, pictures: int) -> Callable[..., dict[str, Any]]:
    """The residuals of one control; the network fits the control pictures to whatever size and rows it is asked for.

    They are repeated (or cut) to the pictures of the run first, so that each picture has the same under every condition.
    """
    network = held.enter_context(ctx.models.use(use.handle))
    hint = use.hint if len(use.hint) == 1 else repeat_to(use.hint, pictures)
    return lambda x, t, context: network(x, t, context, hint, use.strength)
