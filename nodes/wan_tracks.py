"""Videos of Wan in which points go along given paths."""

from __future__ import annotations

from typing import Annotated, Any

import torch

from engine.api import Conditioning, Context, Image, In, Vae, node
from engine.media.motion_tracks import at_pictures, moved, parsed
from engine.media.resizing import repeat_to
from nodes.dimensions import BatchSize
from nodes.video_latents import Length, Side
from nodes.wan import (
    FRAMES,
    Seen,
    WanInputs,
    empty_video,
    encoded,
    fitted,
    given,
    grey,
    space,
    wan_image_to_video,
)


@node("WanTrackToVideo", category="conditioning/video_models", display_name=None)
def wan_track_to_video(
    ctx: Context,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    tracks: Annotated[
        str, In(multiline=True, tip='Paths of points, [[{"x": 10, "y": 20}, …], …], in pixels of the video.')
    ] = "[]",
    width: Side = 832,
    height: Side = 480,
    length: Length = 81,
    batch_size: BatchSize = 1,
    temperature: Annotated[
        float, In(ge=1.0, le=1000.0, step=0.1, tip="More moves less of what is around a point.")
    ] = 220.0,
    topk: Annotated[int, In(ge=1, le=10, tip="How many paths count at each place.")] = 2,
    *,
    start_image: Image,
    clip_vision_output: Seen = None,
) -> WanInputs:
    """Let a video go on from `start_image` while points of it go along `tracks`, for ATI's Wan network (Wang et al. 2025).

    Each video of the batch begins with its own picture. Without tracks this is WanImageToVideo. A path has 121 places, 24 a
    second.
    """
    paths = parsed(tracks)
    if not len(paths):
        sizes = (width, height, length, batch_size)
        return wan_image_to_video(ctx, positive, negative, vae, *sizes, clip_vision_output, start_image)
    whole = (length - 1) // FRAMES * FRAMES + 1
    shown = at_pictures(paths, whole)
    known, masks = [], []
    for picture in repeat_to(fitted(start_image[:batch_size], width, height), batch_size):
        video = grey(length, height, width)
        video[0] = picture
        latent = space(vae).to_network(encoded(ctx, vae, video))
        mask, latent = moved(latent[0], shown, (width, height), temperature, topk)
        known.append(space(vae).from_network(latent[None]))
        masks.append(1.0 - mask[None, None])
    options: dict[str, Any] = {"concat_latent_image": torch.cat(known), "concat_mask": torch.cat(masks)}
    return given(positive, negative, empty_video(vae, width, height, length, batch_size), clip_vision_output, options)
