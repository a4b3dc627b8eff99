"""What a model's handle says of guidance by gradients, and the likelihoods that they are of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from engine.sampling.denoisers import input_scale
from engine.sampling.noise_schedule import from_network_space
from engine.sampling.pushes import Likelihood, Push, differentiable, spherical

if TYPE_CHECKING:
    from torch import Tensor

    from engine.denoising.records import LiveModel
    from engine.models.handles import ModelHandle
    from engine.models.vision import VisionEncoder

_PUSHES = "pushes"
"""Option: [kind, name of what is carried for it, scale, start, end] of each, in order."""


def with_push(model: ModelHandle, kind: str, name: str, scale: float, within: tuple[float, float]) -> ModelHandle:
    """Return the model pushed along a gradient, while the share of sampling done is `within` (start, end) of 0..1.

    `kind` "classifier": what is carried as `name` is [handle of the classifier, number of the class]. "clip": [handle of the
    image encoder, handle of the VAE or None, vectors (N, P) to go to].
    """
    return model.with_option(_PUSHES, [*model.options.get(_PUSHES, ()), [kind, name, scale, *within]])


def pushes_of(model: LiveModel) -> list[Push]:
    """Return the pushes that nodes put on a model, with what they need loaded for the run."""
    handle = model.handle
    if handle is None or not handle.options.get(_PUSHES):
        return []
    to_sigma = model.schedule.percent_to_sigma
    return [
        Push(
            _KINDS[kind](model, *handle.carried[name]),
            scale,
            to_sigma(start),
            to_sigma(end),
            through_network=kind == "clip",
        )
        for kind, name, scale, start, end in handle.options[_PUSHES]
    ]


def _classifier(model: LiveModel, handle: Any, label: int) -> Likelihood:
    classify, schedule = _held(model, handle), model.schedule

    def likelihood(x: Tensor, sigma: float, _: Tensor) -> Tensor:
        t = torch.full((x.shape[0],), schedule.timestep(sigma), device=x.device)
        logits = classify(x * input_scale(schedule, sigma), t)
        if not 0 <= label < logits.shape[1]:
            raise ValueError(
                f"ClassifierGuidance: class_label is {label}; this classifier knows the classes 0 to {logits.shape[1] - 1}."
            )
        return functional.log_softmax(logits.float(), dim=1)[:, label]

    return likelihood


def _clip(model: LiveModel, vision: Any, vae: Any, wanted: Tensor) -> Likelihood:
    encoder: VisionEncoder = _held(model, vision)
    decode = None if vae is None else differentiable(_held(model, vae).decode)
    embed = differentiable(encoder.encode_pixels)
    space = model.latent_format

    def likelihood(x: Tensor, sigma: float, x_0: Tensor) -> Tensor:
        latent = from_network_space(x_0, space)
        pictures = (latent / 2 + 0.5) if decode is None else decode(latent).movedim(-1, 1)
        seen = embed(_fitted(pictures[:, :3], encoder)).image_embeds
        if seen.shape[-1] != wanted.shape[-1]:
            raise ValueError(
                f"CLIPGuidance: the image encoder gives vectors of {seen.shape[-1]} numbers, and what is to be seen is given in "
                f"{wanted.shape[-1]}. Use the image encoder that belongs to the text encoder, or that saw the pictures."
            )
        return -spherical(seen, wanted.to(seen.device)).to(x)

    return likelihood


def _fitted(pictures: Tensor, encoder: VisionEncoder) -> Tensor:
    """Pictures (B, 3, H, W) in 0..1 squeezed into an encoder's square, normalised; unrounded, so that gradients go through."""
    from engine.models.vision_facts import DEVIATIONS, MEANS

    side, kind = encoder.image_size, encoder.handle.family
    squeezed = functional.interpolate(pictures, size=(side, side), mode="bicubic", antialias=True)
    mean, deviation = (squeezed.new_tensor(told[kind]).reshape(1, 3, 1, 1) for told in (MEANS, DEVIATIONS))
    return (squeezed - mean) / deviation


def _held(model: LiveModel, handle: Any) -> Any:
    assert model.hold is not None
    return model.hold(handle)


_KINDS: dict[str, Callable[..., Likelihood]] = {"classifier": _classifier, "clip": _clip}
