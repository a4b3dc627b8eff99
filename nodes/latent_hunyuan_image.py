"""Empty latents of HunyuanImage."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.api import In, Latent, node
from engine.media.bounds import bounded
from nodes.dimensions import MAX_RESOLUTION, BatchSize

Side = Annotated[int, In(ge=64, le=MAX_RESOLUTION, step=32, tip="Of the picture, in pixels.")]


@node("EmptyHunyuanImageLatent", category="latent")
def empty_hunyuan_image_latent(width: Side = 2048, height: Side = 2048, batch_size: BatchSize = 1) -> Latent:
    """Make zeros (batch_size, 64, height / 32, width / 32) to start from, for HunyuanImage 2.1 (Tencent 2025)."""
    return {"samples": torch.zeros(bounded(batch_size, 64, height // 32, width // 32))}
