"""Pictures made alike for a set of them: sizes, cuts, brightness."""

from __future__ import annotations

import random
from typing import Annotated

import torch
from torch import Tensor

from engine.api import Image, In, Out, Seed, node
from engine.media.resizing import resize_images

_LARGEST = 8192

Edge = Annotated[int, In(ge=1, le=_LARGEST, tip="The side in pixels; the other one keeps the proportions.")]
CutWidth = Annotated[int, In(ge=1, le=_LARGEST, tip="Width of the cut in pixels.")]
CutHeight = Annotated[int, In(ge=1, le=_LARGEST, tip="Height of the cut in pixels.")]
Factor = Annotated[float, In(ge=0.0, le=2.0, step=0.01, tip="1 changes nothing.")]
Share = Annotated[float, In(ge=0.0, le=1.0, step=0.01, tip="What becomes 0.")]
Spread = Annotated[float, In(ge=0.001, le=1.0, step=0.001, tip="What becomes 1, above that.")]
Same = Annotated[Image, Out(name="images")]


@node(
    "ResizeImagesByShorterEdge", category="dataset/image", display_name="Resize Images by Shorter Edge", deprecated=True
)
def resize_images_by_shorter_edge(images: Image, shorter_edge: Edge = 512) -> Same:
    """Scale pictures (B, H, W, C) in proportion, so that the shorter side is `shorter_edge`; by lanczos (inferred)."""
    return _scaled(images, shorter_edge / min(images.shape[1:3]))


@node(
    "ResizeImagesByLongerEdge", category="dataset/image", display_name="Resize Images by Longer Edge", deprecated=True
)
def resize_images_by_longer_edge(images: Image, longer_edge: Edge = 1024) -> Same:
    """Scale pictures (B, H, W, C) in proportion, so that the longer side is `longer_edge`; by lanczos (inferred)."""
    return _scaled(images, longer_edge / max(images.shape[1:3]))


def _scaled(images: Tensor, factor: float) -> Tensor:
    height, width = (max(1, round(side * factor)) for side in images.shape[1:3])
    return resize_images(images, width, height, "lanczos")


@node("CenterCropImages", category="dataset/image", display_name="Crop Image (Center)")
def center_crop_images(images: Image, width: CutWidth = 512, height: CutHeight = 512) -> Same:
    """Cut the middle out of pictures (B, H, W, C); a side that is larger than the picture is the picture's."""
    across, down = min(width, images.shape[2]), min(height, images.shape[1])
    left, top = (images.shape[2] - across) // 2, (images.shape[1] - down) // 2
    return images[:, top : top + down, left : left + across].clone()


@node("RandomCropImages", category="dataset/image", display_name="Crop Image (Random)")
def random_crop_images(images: Image, width: CutWidth = 512, height: CutHeight = 512, seed: Seed = 0) -> Same:
    """Cut a rectangle out of each picture (B, H, W, C), at a place drawn from `seed` for each.

    A side that is larger than the picture is the picture's. Inferred: places are drawn evenly, by Python's generator, so
    they are not the field's.
    """
    across, down = min(width, images.shape[2]), min(height, images.shape[1])
    drawn = random.Random(seed)
    cuts = []
    for image in images:
        left, top = drawn.randint(0, images.shape[2] - across), drawn.randint(0, images.shape[1] - down)
        cuts.append(image[top : top + down, left : left + across])
    return torch.stack(cuts)


@node("NormalizeImages", category="dataset/image", display_name="Normalize Image Colors")
def normalize_images(images: Image, mean: Share = 0.5, std: Spread = 0.5) -> Same:
    """Take `mean` from the colours of pictures (B, H, W, C) and divide by `std`; alpha stays, and nothing is cut."""
    return _with_alpha((images[..., :3] - mean) / std, images)


@node("AdjustBrightness", category="dataset/image", display_name="Adjust Brightness")
def adjust_brightness(images: Image, factor: Factor = 1.0) -> Same:
    """Multiply the colours of pictures (B, H, W, C), cut to 0..1; alpha stays."""
    return _with_alpha((images[..., :3] * factor).clamp(0, 1), images)


@node("AdjustContrast", category="dataset/image", display_name="Adjust Contrast")
def adjust_contrast(images: Image, factor: Factor = 1.0) -> Same:
    """Multiply how far the colours of pictures (B, H, W, C) are from 0.5, cut to 0..1; alpha stays."""
    return _with_alpha(((images[..., :3] - 0.5) * factor + 0.5).clamp(0, 1), images)


def _with_alpha(colours: Tensor, images: Tensor) -> Tensor:
    return torch.cat([colours, images[..., 3:]], dim=-1)
