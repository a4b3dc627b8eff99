"""Empty latents of HunyuanVideo."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.api import In, Latent, node
from engine.media.bounds import bounded
from nodes.dimensions import MAX_RESOLUTION, BatchSize

Side = Annotated[int, In(ge=16, le=MAX_RESOLUTION, step=16, tip="Of the video, in pixels.")]
Length = Annotated[int, In(ge=1, le=MAX_RESOLUTION, step=4, tip="Frames: 1, 5, 9, …")]


@node("EmptyHunyuanVideo15Latent", category="latent/video")
def empty_hunyuan_video15_latent(
    width: Side = 848, height: Side = 480, length: Length = 33, batch_size: BatchSize = 1
) -> Latent:
    """Make zeros (batch_size, 32, (length - 1) / 4 + 1, height / 16, width / 16) to start from, for HunyuanVideo 1.5.

    The ranges and defaults are those that HunyuanVideo15ImageToVideo documents: inferred to be this node's too.
    """
    return {"samples": torch.zeros(bounded(batch_size, 32, (length - 1) // 4 + 1, height // 16, width // 16))}
