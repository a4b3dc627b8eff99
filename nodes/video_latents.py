"""Latents of videos: empty ones, and frames cut off their beginning."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.api import In, Latent, node
from engine.media.bounds import bounded
from engine.models.latent_spaces import changed
from nodes.dimensions import MAX_RESOLUTION, BatchSize

Side = Annotated[int, In(ge=16, le=MAX_RESOLUTION, step=16, tip="Pixels of the video to be.")]
Length = Annotated[
    int, In(ge=1, le=MAX_RESOLUTION, step=4, tip="Pictures of the video: one, and four more for each latent frame.")
]


@node("EmptyHunyuanLatentVideo", category="latent/video", display_name="Empty HunyuanVideo 1.0 Latent")
def empty_hunyuan_latent_video(
    width: Side = 848, height: Side = 480, length: Length = 25, batch_size: BatchSize = 1
) -> Latent:
    """Make zeros (batch_size, 16, (length - 1) / 4 + 1, height / 8, width / 8) to start from, of HunyuanVideo's and Wan's videos.

    A model whose latents have other channels or sides gets those of its own, of as many frames.
    """
    return {"samples": torch.zeros(bounded(batch_size, 16, (length - 1) // 4 + 1, height // 8, width // 8))}


@node("TrimVideoLatent", category="latent/video", display_name=None)
def trim_video_latent(
    samples: Latent,
    trim_amount: Annotated[int, In(ge=0, le=99999, tip="Latent frames to cut off the beginning.")] = 0,
) -> Latent:
    """Cut the first latent frames off a video (B, C, T, h, w). Raises ValueError where nothing would be left."""
    whole = samples["samples"]
    if whole.ndim != 5:
        raise ValueError(
            f"samples: expected the latent of a video (B, C, T, h, w), got {tuple(whole.shape)}: it has no frames to cut off. "
            "Connect a video's latent."
        )
    if trim_amount >= whole.shape[2]:
        raise ValueError(
            f"trim_amount: {trim_amount} of {whole.shape[2]} latent frames leave none; use at most {whole.shape[2] - 1}."
        )
    if not trim_amount:
        return samples
    kept = changed(samples, whole[:, :, trim_amount:].clone())  # a view would keep the whole latent in memory
    mask = samples.get("noise_mask")
    if mask is not None and mask.ndim == 5 and mask.shape[2] == whole.shape[2]:
        kept["noise_mask"] = mask[:, :, trim_amount:].clone()
    return kept
