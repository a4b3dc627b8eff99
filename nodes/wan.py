"""Wan's videos from pictures: what its networks are given beside a latent, and the latent itself.

`concat_latent_image` (1, C, T, h, w) is a video in the VAE's space whose unknown frames are grey; `concat_mask`, 0 where it is
known, has one channel, or four, one for each of the pictures that a latent frame stands for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from engine.api import ClipVisionOutput, Conditioning, Context, Image, In, Latent, Out, Vae, node
from engine.datatypes.parameterization import LatentFormat
from engine.media.bounds import bounded
from engine.media.resizing import match_channels, repeat_to, resize_images
from engine.models.latent_spaces import space_of, with_samples
from nodes.conditioning import with_options
from nodes.dimensions import MAX_RESOLUTION, BatchSize
from nodes.video_latents import Length, Side

FRAMES = 4
"""Pictures of a latent frame, but for the first, which is one."""
GREY = 0.5

Seen = Annotated[ClipVisionOutput | None, In(tip="What CLIP's ViT-H saw in the picture.")]
Pictures = Annotated[Image | None, In(tip="Resized to the video, and cut about the centre to its proportions.")]
WideSide = Annotated[int, In(ge=32, le=MAX_RESOLUTION, step=32, tip="Pixels of the video to be.")]


class WanInputs(NamedTuple):
    """What a run begins with."""

    positive: Annotated[Conditioning, Out(name="positive")]
    negative: Annotated[Conditioning, Out(name="negative")]
    latent: Annotated[Latent, Out(name="latent")]


@node("WanImageToVideo", category="conditioning/video_models", display_name=None)
def wan_image_to_video(
    ctx: Context,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    width: Side = 832,
    height: Side = 480,
    length: Length = 81,
    batch_size: BatchSize = 1,
    clip_vision_output: Seen = None,
    start_image: Annotated[Image | None, In(tip="The first frame of the video, or its first frames.")] = None,
    ref_pad_image: Annotated[
        Image | None, In(tip="Stands in every frame that is to be made, in the place of grey.")
    ] = None,
) -> WanInputs:
    """Let a video go on from `start_image` (F, H, W, 3): its frames are known, the others grey, or `ref_pad_image`.

    The latent is zeros (batch_size, C, (length - 1) / 4 + 1, height / f, width / f). Without a picture only what CLIP saw is
    told.
    """
    options: dict[str, Any] = {}
    if start_image is not None:
        video = grey(length, height, width)
        if ref_pad_image is not None:
            video[:] = fitted(ref_pad_image[:1], width, height)
        start = fitted(start_image[:length], width, height)
        video[: len(start)] = start
        known = encoded(ctx, vae, video)
        mask = torch.ones(1, 1, *known.shape[2:])
        mask[:, :, : (len(start) - 1) // FRAMES + 1] = 0.0
        options |= {"concat_latent_image": known, "concat_mask": mask}
    return given(positive, negative, empty_video(vae, width, height, length, batch_size), clip_vision_output, options)


@node("WanFirstLastFrameToVideo", category="conditioning/video_models", display_name=None)
def wan_first_last_frame_to_video(
    ctx: Context,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    width: Side = 832,
    height: Side = 480,
    length: Length = 81,
    batch_size: BatchSize = 1,
    clip_vision_start_image: Seen = None,
    clip_vision_end_image: Seen = None,
    start_image: Annotated[Image | None, In(tip="The first frame of the video, or its first frames.")] = None,
    end_image: Annotated[Image | None, In(tip="The last frame of the video, or its last frames.")] = None,
) -> WanInputs:
    """Let a video lead from `start_image` to `end_image` (F, H, W, 3 each): what lies between is grey, and to be made.

    In the mask (1, 4, T, h, w) a first picture counts as known for all four places of the first latent frame.
    """
    options: dict[str, Any] = {}
    if start_image is not None or end_image is not None:
        video, mask = grey(length, height, width), torch.ones(length)
        if start_image is not None:
            start = fitted(start_image[:length], width, height)
            video[: len(start)] = start
            mask[: len(start)] = 0.0
        if end_image is not None:
            end = fitted(end_image[-length:], width, height)
            video[-len(end) :] = end
            mask[-len(end) :] = 0.0
        known = encoded(ctx, vae, video)
        options = {"concat_latent_image": known, "concat_mask": by_latent_frames(mask, known)}
    seen = joined(clip_vision_start_image, clip_vision_end_image)
    return given(positive, negative, empty_video(vae, width, height, length, batch_size), seen, options)


@node("WanFunInpaintToVideo", category="conditioning/video_models", display_name=None)
def wan_fun_inpaint_to_video(
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
    end_image: Pictures = None,
) -> WanInputs:
    """Let a video of Wan Fun's inpainting networks lead from `start_image` to `end_image`, as WanFirstLastFrameToVideo does."""
    sizes, pictures = (width, height, length, batch_size), (start_image, end_image)
    return wan_first_last_frame_to_video(ctx, positive, negative, vae, *sizes, clip_vision_output, None, *pictures)


@node("Wan22ImageToVideoLatent", category="conditioning/inpaint", display_name=None)
def wan22_image_to_video_latent(
    ctx: Context,
    vae: Vae,
    width: WideSide = 1280,
    height: WideSide = 704,
    length: Length = 49,
    batch_size: BatchSize = 1,
    start_image: Annotated[Image | None, In(tip="The first frame of the video, or its first frames.")] = None,
) -> Latent:
    """Make the latent (batch_size, 48, (length - 1) / 4 + 1, height / 16, width / 16) of Wan 2.2 5B.

    The frames of `start_image` are in it, and kept by its noise mask (batch_size, 1, T, h, w), which is 1 in the others.
    """
    latent = empty_video(vae, width, height, length, batch_size)
    if start_image is None:
        return latent
    first = encoded(ctx, vae, fitted(start_image[:length], width, height))
    samples = latent["samples"]
    samples[:, :, : first.shape[2]] = first
    mask = torch.ones(batch_size, 1, *samples.shape[2:])
    mask[:, :, : first.shape[2]] = 0.0
    return with_samples({"noise_mask": mask}, samples, space_of(vae))


def grey(length: int, height: int, width: int) -> Tensor:
    """Return frames (length, height, width, 3) of which nothing is known."""
    return torch.full(bounded(length, height, width, 3), GREY)


def fitted(pictures: Tensor, width: int, height: int) -> Tensor:
    """Return pictures (F, H, W, C) as (F, height, width, 3), cut about the centre to these proportions."""
    if not len(pictures):
        raise ValueError("a picture for the video is an empty batch; link one that holds at least one picture.")
    return resize_images(match_channels(pictures, 3), width, height, "bilinear", "center")


def encoded(ctx: Context, vae: Vae, frames: Tensor) -> Tensor:
    """Return the latent (1, C, T, h, w) of frames (F, H, W, 3)."""
    space(vae)
    with ctx.models.use(vae) as autoencoder:
        latent: Tensor = autoencoder.encode(frames)
    return latent


def space(vae: Vae) -> LatentFormat:
    """Return the space of a VAE's latents. Raises ValueError for a VAE of pictures."""
    found = space_of(vae)
    if found is None or found.latent.axes != 3:
        raise ValueError(
            f"vae: expected a VAE of videos, such as wan_2.1_vae, got {vae.source.path}, whose latents have no frames. "
            "Load the one that belongs to the model."
        )
    return found.latent


def latent_shape(vae: Vae, width: int, height: int, length: int) -> tuple[int, int, int, int]:
    """Return (C, T, h, w) of a video's latent."""
    known = space(vae)
    return known.channels, (length - 1) // FRAMES + 1, height // known.downscale, width // known.downscale


def empty_video(vae: Vae, width: int, height: int, length: int, batch_size: int, further: int = 0) -> Latent:
    """Return zeros (batch_size, C, T, h, w), of `further` latent frames more than the length has."""
    channels, frames, rows, columns = latent_shape(vae, width, height, length)
    return {"samples": torch.zeros(bounded(batch_size, channels, frames + further, rows, columns))}


def nothing(vae: Vae, width: int, height: int, length: int) -> Tensor:
    """Return the latent (1, C, T, h, w), in the VAE's space, that is zero for the network."""
    return space(vae).from_network(torch.zeros(bounded(1, *latent_shape(vae, width, height, length))))


def by_latent_frames(mask: Tensor, latent: Tensor) -> Tensor:
    """Return a mask of pictures (F,) as (1, 4, T, h, w) of their latent: the first stands for a whole latent frame."""
    frames = torch.cat([mask[:1].expand(FRAMES - 1), mask])[: latent.shape[2] * FRAMES]
    return frames.reshape(1, -1, FRAMES, 1, 1).transpose(1, 2).expand(1, FRAMES, *latent.shape[2:]).contiguous()


def joined(start: Any, end: Any) -> Any:
    """Return what CLIP saw in two pictures: the tokens of one after those of the other."""
    if start is None or end is None:
        return end if start is None else start
    first, second = start.penultimate_hidden_states, end.penultimate_hidden_states
    rows = max(len(first), len(second))
    return replace(start, penultimate_hidden_states=torch.cat([repeat_to(first, rows), repeat_to(second, rows)], dim=1))


def given(
    positive: Conditioning, negative: Conditioning, latent: Latent, seen: Any, options: dict[str, Any]
) -> WanInputs:
    """Return a run's inputs, both conditionings with `options` and what CLIP saw."""
    told = options if seen is None else {**options, "clip_vision_output": seen}
    if not told:
        return WanInputs(positive, negative, latent)
    return WanInputs(with_options(positive, **told), with_options(negative, **told), latent)
