"""Wan Fun (Alibaba PAI 2025) and Phantom (Chen et al. 2025): control videos, pictures to go by, subjects to show."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from engine.api import Conditioning, Context, Image, In, Latent, Out, Vae, node
from nodes.conditioning import with_options
from nodes.conditioning_edit import REFERENCES
from nodes.dimensions import BatchSize
from nodes.video_latents import Length, Side
from nodes.wan import (
    Pictures,
    Seen,
    WanInputs,
    by_latent_frames,
    empty_video,
    encoded,
    fitted,
    given,
    latent_shape,
    nothing,
    space,
)

ControlVideo = Annotated[Image | None, In(tip="Edges, depths or poses for each frame; what is missing is left free.")]


class PhantomInputs(NamedTuple):
    """What a run begins with, whose guidance has three texts."""

    positive: Annotated[Conditioning, Out(name="positive")]
    negative_text: Annotated[Conditioning, Out(name="negative_text")]
    negative_img_text: Annotated[Conditioning, Out(name="negative_img_text")]
    latent: Annotated[Latent, Out(name="latent")]


@node("WanFunControlToVideo", category="conditioning/video_models", display_name=None)
def wan_fun_control_to_video(
    ctx: Context,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    width: Side = 832,
    height: Side = 480,
    length: Length = 81,
    batch_size: BatchSize = 1,
    clip_vision_output: Seen = None,
    start_image: Pictures = None,
    control_video: ControlVideo = None,
) -> WanInputs:
    """Let a video follow `control_video` (F, H, W, 3), from `start_image` on, in Wan 2.1 Fun Control.

    Beside the latent stand the latents of both, (1, 2 C, T, h, w), each zero for the network where there is nothing of it.
    """
    beside = _controlled(ctx, vae, width, height, length, control_video, start_image)
    latent = empty_video(vae, width, height, length, batch_size)
    return given(positive, negative, latent, clip_vision_output, {"concat_latent_image": beside})


@node("Wan22FunControlToVideo", category="conditioning/video_models", display_name=None)
def wan22_fun_control_to_video(
    ctx: Context,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    width: Side = 832,
    height: Side = 480,
    length: Length = 81,
    batch_size: BatchSize = 1,
    ref_image: Annotated[Image | None, In(tip="How what is shown looks; the first picture counts.")] = None,
    control_video: ControlVideo = None,
) -> WanInputs:
    """Let a video follow `control_video` (F, H, W, 3), and look like `ref_image`, in Wan 2.2 Fun Control.

    The order of the channels is its authors': control, a mask of the frames that are known (none is), and these frames.
    """
    beside = _controlled(ctx, vae, width, height, length, control_video, None)
    options: dict[str, Any] = {
        "concat_latent_image": beside,
        "concat_mask": by_latent_frames(torch.ones(length), beside),
        "concat_mask_index": space(vae).channels,
    }
    inputs = given(positive, negative, empty_video(vae, width, height, length, batch_size), None, options)
    if ref_image is None:
        return inputs
    reference = encoded(ctx, vae, fitted(ref_image[:1], width, height))
    return inputs._replace(
        positive=_going_by(inputs.positive, reference), negative=_going_by(inputs.negative, reference)
    )


@node("WanPhantomSubjectToVideo", category="conditioning/video_models", display_name=None)
def wan_phantom_subject_to_video(
    ctx: Context,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    width: Side = 832,
    height: Side = 480,
    length: Length = 81,
    batch_size: BatchSize = 1,
    images: Annotated[Image | None, In(tip="Subjects to show, one in each picture.")] = None,
) -> PhantomInputs:
    """Let a video show what is in `images` (F, H, W, 3), whose latents stand behind it as further frames.

    `negative_text` has them too, and `negative_img_text` as many frames that are zero for the network: for DualCFGGuider.
    """
    latent = empty_video(vae, width, height, length, batch_size)
    if images is None:
        return PhantomInputs(positive, negative, negative, latent)
    pictures = fitted(images[:length], width, height)
    subjects = torch.cat([encoded(ctx, vae, one[None]) for one in pictures], dim=2)
    none = space(vae).from_network(torch.zeros_like(subjects))
    return PhantomInputs(
        with_options(positive, time_dim_concat=subjects),
        with_options(negative, time_dim_concat=subjects),
        with_options(negative, time_dim_concat=none),
        latent,
    )


def _controlled(
    ctx: Context, vae: Vae, width: int, height: int, length: int, control: Tensor | None, start: Tensor | None
) -> Tensor:
    """Latents (1, 2 C, T, h, w) of a control video and of the first frames."""
    frames = latent_shape(vae, width, height, length)[1]
    parts = []
    for pictures in (control, start):
        part = nothing(vae, width, height, length)
        if pictures is not None:
            found = encoded(ctx, vae, fitted(pictures[:length], width, height))[:, :, :frames]
            part[:, :, : found.shape[2]] = found
        parts.append(part)
    return torch.cat(parts, dim=1)


def _going_by(conditioning: Conditioning, latent: Tensor) -> Conditioning:
    """The conditioning with one more latent to go by."""
    return [
        [tokens, {**options, REFERENCES: [*options.get(REFERENCES, ()), latent]}] for tokens, options in conditioning
    ]
