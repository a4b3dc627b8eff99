"""What upscaling models are given: the small picture, and how much noise is put on it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch

from engine.api import Conditioning, Image, In, Latent, Out, node
from engine.media.bounds import bounded
from engine.media.resizing import resize
from nodes.conditioning import with_options

_PIXELS = 4
"""Pixels of the large picture for each of the small one, and for each of the upscaler's latent."""


class Upscaling(NamedTuple):
    """What an upscaling model is given, and the empty latent that it fills."""

    positive: Annotated[Conditioning, Out(name="positive")]
    negative: Annotated[Conditioning, Out(name="negative")]
    latent: Annotated[Latent, Out(name="latent")]


@node("SD_4XUpscale_Conditioning", category="conditioning/upscale_diffusion")
def upscale_conditioning(
    images: Image,
    positive: Conditioning,
    negative: Conditioning,
    scale_ratio: Annotated[
        float, In(ge=0.0, le=10.0, step=0.01, tip="Of the new picture to the given one; 4 leaves that as it is.")
    ] = 4.0,
    noise_augmentation: Annotated[
        float, In(ge=0.0, le=1.0, step=0.001, options={"advanced": True}, tip="More lets the model change more.")
    ] = 0.0,
) -> Upscaling:
    """Give Stable Diffusion's x4 upscaler the picture to enlarge, and make the empty latent of its result."""
    height, width = (max(1, round(side * scale_ratio)) for side in images.shape[1:3])
    rows, columns = max(1, height // _PIXELS), max(1, width // _PIXELS)
    small = resize(images[..., :3].movedim(-1, 1) * 2.0 - 1.0, columns, rows, "bilinear", "center")
    facts = {"concat_image": small, "noise_augmentation": noise_augmentation}
    empty = {"samples": torch.zeros(bounded(len(images), 4, rows, columns))}
    return Upscaling(with_options(positive, **facts), with_options(negative, **facts), empty)
