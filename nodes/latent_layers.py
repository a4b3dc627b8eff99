"""Latents of several layers."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.api import In, Latent, node
from engine.media.bounds import bounded
from nodes.dimensions import MAX_RESOLUTION, BatchSize

Side = Annotated[int, In(ge=16, le=MAX_RESOLUTION, step=16, tip="Pixels of the picture to be.")]


@node("EmptyQwenImageLayeredLatentImage", category="latent/qwen", display_name="Empty Qwen Image Layered Latent")
def empty_latent_of_layers(
    width: Side = 640,
    height: Side = 640,
    layers: Annotated[
        int, In(ge=0, le=MAX_RESOLUTION, step=1, tip="Layers beside the whole picture, which comes first.")
    ] = 3,
    batch_size: BatchSize = 1,
) -> Latent:
    """Make zeros (batch_size, 16, layers + 1, height / 8, width / 8) to start from: the whole picture, then its layers."""
    return {"samples": torch.zeros(bounded(batch_size, 16, layers + 1, height // 8, width // 8))}
