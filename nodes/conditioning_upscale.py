"""What upscaling models are given: the small picture, and how much noise is put on it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from torch.nn import functional

from engine.api import Conditioning, Image, In, Latent, Out, Seed, node
from engine.datatypes.parameterization import Parameterization
from engine.media.bounds import bounded
from engine.media.resizing import resize
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import forward_process
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


@node("IF_StageII_Conditioning", category="conditioning/upscale_diffusion", display_name="DeepFloyd IF Stage II")
def if_stage_two_conditioning(
    images: Image,
    positive: Conditioning,
    negative: Conditioning,
    scale_ratio: Annotated[float, In(ge=1.0, le=10.0, step=0.01, tip="Of the new picture to the given one.")] = 4.0,
    noise_level: Annotated[
        int, In(ge=0, le=999, tip="Of the noise put on the given picture; more lets the model change more.")
    ] = 250,
    seed: Seed = 0,
) -> Upscaling:
    """Give DeepFloyd IF's second stage the picture of the first to enlarge, and make the empty picture of its result."""
    height, width = (max(8, round(side * scale_ratio / 8) * 8) for side in images.shape[1:3])
    bounded(len(images), 3, height, width)
    signed = images[..., :3].movedim(-1, 1) * 2.0 - 1.0
    large = functional.interpolate(signed, size=(height, width), mode="bilinear", align_corners=True)
    noisy = forward_process(Parameterization(schedule="cosine"), large, initial_noise(large, seed), noise_level)
    facts = {"concat_image": noisy, "noise_level": noise_level}
    empty = {"samples": torch.zeros_like(large)}
    return Upscaling(with_options(positive, **facts), with_options(negative, **facts), empty)
