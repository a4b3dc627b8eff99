"""What Marigold V2 predicts, made into pictures to look at."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from engine.api import Image, In, node
from engine.media.resizing import match_channels
from nodes.dimensions import ONE_CHOICE


@node("MarigoldV2PostProcess", category="image/postprocessing", display_name="Marigold V2 Post-Process")
def marigold_v2_post_process(
    image: Annotated[Image, In(tip="What the VAE made of the prediction.")],
    prediction: Annotated[
        Literal["depth", "normals", "albedo"], In(tip="What was predicted.", options=ONE_CHOICE)
    ] = "depth",
) -> Image:
    """Make a decoded prediction (B, H, W, C) a picture (B, H, W, 3).

    depth: the mean of the channels, from the nearest (1) to the farthest (0) of each picture; inferred from Marigold (Ke and
    others 2024) is that the prediction grows with distance. normals: directions of length 1, -1..1 as 0..1. albedo: linear
    light as sRGB. Numbers that are none count as 0; a flat depth is 0.
    """
    values = match_channels(image, 3).float().nan_to_num(0.0)
    if prediction == "depth":
        return _near_to_far(values.mean(-1, keepdim=True)).expand(*values.shape[:3], 3).contiguous()
    if prediction == "normals":
        return (torch.nn.functional.normalize(values * 2 - 1, dim=-1) + 1) / 2
    from engine.media.color_spaces import linear_to_srgb

    return linear_to_srgb(values.clamp(0, 1))


def _near_to_far(depth: Tensor) -> Tensor:
    least, most = depth.amin((1, 2), keepdim=True), depth.amax((1, 2), keepdim=True)
    return torch.where(most > least, (most - depth) / (most - least).clamp(min=1e-12), torch.zeros_like(depth))
