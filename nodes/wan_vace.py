"""VACE (Jiang et al. 2025): videos after a control video, a mask of what is to be made, and a picture to go by."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engine.api import Conditioning, Context, Image, In, Latent, Mask, Out, Vae, node
from engine.media.resizing import as_masks, resize
from nodes.dimensions import BatchSize
from nodes.video_latents import Length, Side
from nodes.wan import GREY, empty_video, encoded, fitted, grey, nothing

_PIXELS = 8
"""Pixels a side of the mask that stand as channels of a latent pixel."""


class VaceInputs(NamedTuple):
    """What a run begins with, and how many of its first latent frames are the picture to go by."""

    positive: Annotated[Conditioning, Out(name="positive")]
    negative: Annotated[Conditioning, Out(name="negative")]
    latent: Annotated[Latent, Out(name="latent")]
    trim_latent: Annotated[int, Out(name="trim_latent")]


@node("WanVaceToVideo", category="conditioning/video_models", display_name=None)
def wan_vace_to_video(
    ctx: Context,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    width: Side = 832,
    height: Side = 480,
    length: Length = 81,
    batch_size: BatchSize = 1,
    strength: Annotated[float, In(ge=0.0, le=1000.0, step=0.01, tip="How much the control counts.")] = 1.0,
    control_video: Annotated[Image | None, In(tip="Grey frames are free; what is missing is grey.")] = None,
    control_masks: Annotated[Mask | None, In(tip="1 where the video is to be made; what is missing is 1.")] = None,
    reference_image: Annotated[Image | None, In(tip="What the video shows; the first picture counts.")] = None,
) -> VaceInputs:
    """Tell VACE's layers a control video (F, H, W, 3), a mask of it (F, H, W), and a picture to go by.

    What is kept and what is to be made are encoded apart, the rest of each grey: `vace_frames` (1, 2 C, T, h, w); `vace_mask`
    (1, 64, T, h, w) has eight by eight pixels of the mask for a latent pixel. The picture is a latent frame before the others, of
    which `trim_latent` says how many to cut off again.
    """
    video = grey(length, height, width)
    if control_video is not None:
        control = fitted(control_video[:length], width, height)
        video[: len(control)] = control
    mask = torch.ones(length, height, width)
    if control_masks is not None:
        told = resize(as_masks(control_masks)[:length, None].float(), width, height, "bilinear", "center")[:, 0]
        mask[: len(told)] = told
    made, away = mask[..., None], video - GREY
    kept, remade = (encoded(ctx, vae, away * part + GREY) for part in (1 - made, made))
    frames = torch.cat([kept, remade], dim=1)
    pixels = _in_channels(mask, frames)
    before = 0
    if reference_image is not None:
        reference = encoded(ctx, vae, fitted(reference_image[:1], width, height))
        frames = torch.cat([torch.cat([reference, nothing(vae, width, height, 1)], dim=1), frames], dim=2)
        before = reference.shape[2]
        pixels = torch.cat([torch.zeros_like(pixels[:, :, :before]), pixels], dim=2)
    latent = empty_video(vae, width, height, length, batch_size, before)
    good, bad = (_told(one, frames, pixels, strength) for one in (positive, negative))
    return VaceInputs(good, bad, latent, before)


def _in_channels(mask: Tensor, latent: Tensor) -> Tensor:
    """A mask (F, H, W) as (1, 64, T, h, w): of pictures that are one latent frame the nearest counts."""
    pixels = functional.pixel_unshuffle(mask[:, None], _PIXELS).movedim(0, 1)
    return functional.interpolate(pixels[None], size=tuple(latent.shape[2:]), mode="nearest-exact")


def _told(conditioning: Conditioning, frames: Tensor, mask: Tensor, strength: float) -> Conditioning:
    """The conditioning with one control more."""
    found = []
    for tokens, options in conditioning:
        lists = {"vace_frames": frames, "vace_mask": mask, "vace_strength": strength}
        found.append([tokens, {**options, **{name: [*options.get(name, ()), value] for name, value in lists.items()}}])
    return found
