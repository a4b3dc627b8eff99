"""Conditioning of HunyuanImage's refiner: a picture that it goes by."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch

from engine.api import Conditioning, In, Latent, Out, node
from engine.media.bounds import bounded
from nodes.conditioning import with_options


class Refining(NamedTuple):
    """Both conditionings with the picture that is to be refined, and the empty latent of what is made of it."""

    positive: Annotated[Conditioning, Out(name="positive")]
    negative: Annotated[Conditioning, Out(name="negative")]
    latent: Annotated[Latent, Out(name="latent")]


@node("HunyuanRefinerLatent", category="advanced/conditioning", display_name=None)
def hunyuan_refiner_latent(
    positive: Conditioning,
    negative: Conditioning,
    latent: Latent,
    noise_augmentation: Annotated[
        float, In(ge=0.0, le=1.0, step=0.01, options={"advanced": True}, tip="More lets the model change more.")
    ] = 0.10,
) -> Refining:
    """Give HunyuanImage's refiner a picture to go by: its latent (B, C, …, h, w), with a share of noise in its place.

    The empty latent has 32 channels, which stand there twice for the network. The noise is of the run's seed less 10, as that of
    Stable Diffusion's upscaler (inferred).
    """
    samples = latent["samples"]
    facts = {"concat_latent_image": samples, "noise_augmentation": noise_augmentation}
    empty = torch.zeros(bounded(samples.shape[0], 32, *samples.shape[2:]))
    return Refining(with_options(positive, **facts), with_options(negative, **facts), {"samples": empty})
