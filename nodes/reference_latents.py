"""Several pictures for an edit model to go by, encoded in one node."""

from __future__ import annotations

import math
from typing import Annotated, Final, NamedTuple

import torch

from engine.api import Choosing, Conditioning, Context, Growing, In, Latent, Out, Vae, node
from engine.media.resizing import resize_images
from nodes.conditioning_edit import REFERENCES

_PICTURES: Final = {"input": {"optional": {"image": ["IMAGE", {}]}}, "min": 1, "prefix": "image", "max": 100}
"""What grows: pictures, under the names image0 to image99."""

_MEGAPIXELS: Final = {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01, "tooltip": "1 is 1024 × 1024 pixels."}
_WAYS: Final = [
    {"key": "keep resolution", "inputs": {}},
    {"key": "resize", "inputs": {"required": {"megapixels": ["FLOAT", _MEGAPIXELS]}}},
]
_MEGAPIXEL: Final = 1024 * 1024
_CHANNELS, _DOWNSCALE = 128, 16
"""Of an empty latent where there is no VAE to ask: those of FLUX.3."""


class Referenced(NamedTuple):
    """Conditionings with latents to go by, and an empty latent of the first one's size."""

    positive: Annotated[Conditioning, Out(name="positive")]
    negative: Annotated[Conditioning, Out(name="negative")]
    empty_latent: Annotated[Latent, Out(name="empty_latent")]


@node("ReferenceMultiLatent", category="advanced/conditioning/edit_models", display_name="Set Reference Multi Latent")
def reference_multi_latent(
    ctx: Context,
    positive: Conditioning,
    resolution: Annotated[Choosing, In(tip="How large pictures are encoded.", options={"options": _WAYS})],
    images: Annotated[Growing, In(tip="Pictures to go by, in their order.", options={"template": _PICTURES})],
    negative: Annotated[Conditioning | None, In(tip="Without one it is the positive one.")] = None,
    vae: Annotated[Vae | None, In(tip="Without one pictures are left out.")] = None,
) -> Referenced:
    """Give an edit model pictures to go by, each encoded in its own size or scaled, in proportion, to an area.

    The empty latent has the size of the first; without pictures it is square, of 1024 × 1024 pixels or the area.
    """
    area = resolution.get("megapixels")
    pictures = [images[name] for name in sorted(images, key=lambda name: int(name.removeprefix("image")))]
    if vae is None or not pictures:
        channels, step = (vae.latent.channels, vae.latent.downscale) if vae else (_CHANNELS, _DOWNSCALE)
        side = max(1, round(math.sqrt((area or 1.0) * _MEGAPIXEL) / step))
        empty = {"samples": torch.zeros(1, channels, side, side)}
        return Referenced(positive, positive if negative is None else negative, empty)
    if area is not None:
        pictures = [_scaled(picture, area, vae.latent.downscale) for picture in pictures]
    with ctx.models.use(vae) as autoencoder:
        latents = [autoencoder.encode(picture) for picture in pictures]
    told = _with(positive, latents)
    other = told if negative is None else _with(negative, latents)
    return Referenced(told, other, {"samples": torch.zeros_like(latents[0])})


def _with(conditioning: Conditioning, latents: list[torch.Tensor]) -> Conditioning:
    return [[text, {**told, REFERENCES: [*told.get(REFERENCES, ()), *latents]}] for text, told in conditioning]


def _scaled(picture: torch.Tensor, megapixels: float, step: int) -> torch.Tensor:
    """A picture (B, H, W, C) of this area in proportion, to whole steps, so that nothing is cut before it is encoded."""
    height, width = picture.shape[1:3]
    factor = math.sqrt(megapixels * _MEGAPIXEL / (height * width)) / step
    wide, high = (max(1, round(side * factor)) * step for side in (width, height))
    return resize_images(picture, wide, high, "area")
