"""Masks (B, H, W), 0..1: making, combining and shaping them, and going between them and pictures."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from engine.api import Image, In, Mask, node
from engine.media.bounds import bounded
from engine.media.resizing import as_masks, match_batches
from nodes.colors import Color
from nodes.dimensions import MAX_RESOLUTION, Height, Left, Margin, Top, Width, require_inside

Level = Annotated[float, In(ge=0.0, le=1.0, step=0.01, tip="From 0, black, to 1, white.")]
Operation = Literal["multiply", "add", "subtract", "and", "or", "xor"]
Channel = Literal["red", "green", "blue", "alpha"]


@node("SolidMask", category="mask")
def solid_mask(value: Level = 1.0, width: Width = 512, height: Height = 512) -> Mask:
    """Make a mask (1, height, width) with one value everywhere."""
    return torch.full(bounded(1, height, width), float(value))


@node("InvertMask", category="mask")
def invert_mask(mask: Mask) -> Mask:
    """Exchange what is in the mask (B, H, W) and what is not."""
    return 1.0 - mask


@node("CropMask", category="mask")
def crop_mask(mask: Mask, x: Left = 0, y: Top = 0, width: Width = 512, height: Height = 512) -> Mask:
    """Cut a rectangle out of masks (B, H, W); what reaches past the right or bottom edge is left out.

    Raises ValueError when the rectangle begins outside the mask.
    """
    masks = as_masks(mask)
    require_inside("CropMask", x, y, masks.shape[2], masks.shape[1])
    return masks[:, y : y + height, x : x + width].clone()


@node("MaskComposite", category="mask", display_name="MaskComposite")
def mask_composite(
    destination: Mask,
    source: Mask,
    x: Left = 0,
    y: Top = 0,
    operation: Annotated[Operation, In(tip="and, or, xor round both to 0 and 1 first.")] = "multiply",
) -> Mask:
    """Combine `source` (b, h, w) into `destination` (B, H, W) with its corner at (x, y); outside it nothing changes.

    The shorter batch repeats; results are cut to 0..1.
    """
    below, above = match_batches(as_masks(destination), as_masks(source))
    result = below.clone()
    where = (slice(None), slice(y, y + above.shape[1]), slice(x, x + above.shape[2]))
    height, width = result[where].shape[1:]
    result[where] = _combined(result[where], above[:, :height, :width].to(result), operation)
    return result.clamp(0.0, 1.0)


def _combined(below: Tensor, above: Tensor, operation: str) -> Tensor:
    match operation:
        case "multiply":
            return below * above
        case "add":
            return below + above
        case "subtract":
            return below - above
    first, second = below.round().bool(), above.round().bool()
    combine = {"and": torch.logical_and, "or": torch.logical_or, "xor": torch.logical_xor}[operation]
    return combine(first, second).to(below)


@node("FeatherMask", category="mask")
def feather_mask(mask: Mask, left: Margin = 0, top: Margin = 0, right: Margin = 0, bottom: Margin = 0) -> Mask:
    """Fade masks (B, H, W) out towards their edges, linearly over the given numbers of pixels.

    At the right and the bottom the step that belongs to the outermost pixel falls on the first one instead: a slip of the
    field, kept.
    """
    masks = as_masks(mask)
    return masks * _fade(masks.shape[1], top, bottom)[:, None] * _fade(masks.shape[2], left, right)


def _fade(size: int, before: int, after: int) -> Tensor:
    """Factors of `size` pixels: 1/n, 2/n, … 1 over the first `before`, and over the last `after` as indexed by -0, -1, …"""
    factors = torch.ones(size)
    before, after = min(before, size), min(after, size)
    for step in range(before):
        factors[step] *= (step + 1) / before
    for step in range(after):
        factors[-step] *= (step + 1) / after
    return factors


@node("GrowMask", category="mask")
def grow_mask(
    mask: Mask,
    expand: Annotated[
        int, In(ge=-MAX_RESOLUTION, le=MAX_RESOLUTION, step=1, tip="Pixels to grow; negative shrinks.")
    ] = 0,
    tapered_corners: Annotated[bool, In(tip="Grow corners diagonally, instead of as squares.")] = True,
) -> Mask:
    """Grow (or shrink) what is in the masks (B, H, W) by `expand` pixels; grey values spread as maxima (minima)."""
    masks = as_masks(mask)
    sign = -1.0 if expand < 0 else 1.0
    return sign * _grown(sign * masks, min(abs(expand), sum(masks.shape[1:])), tapered_corners)


def _grown(masks: Tensor, reach: int, tapered: bool) -> Tensor:
    """The maximum over the neighbours of each pixel up to `reach` away: in a diamond if `tapered`, else in a square.

    Repeating a step of k pixels after having reached n ≥ 2(k - 1) reaches n + k without leaving out a pixel or needing
    one beyond the edges, so that steps may grow and their number is logarithmic.
    """
    reached = 0
    while reached < reach:
        step = min(reached // 2 + 1, reach - reached)
        if tapered:
            masks = torch.maximum(_shifted_maximum(masks, step, 1), _shifted_maximum(masks, step, 2))
        else:
            masks = _shifted_maximum(_shifted_maximum(masks, step, 1), step, 2)
        reached += step
    return masks


def _shifted_maximum(masks: Tensor, step: int, dimension: int) -> Tensor:
    """The maximum of each pixel and the two that are `step` before and after it in `dimension`."""
    result = masks.clone()
    kept = masks.shape[dimension] - step
    if kept > 0:
        for to, taken in ((step, 0), (0, step)):
            part = result.narrow(dimension, to, kept)
            torch.maximum(part, masks.narrow(dimension, taken, kept), out=part)
    return result


@node("ThresholdMask", category="mask")
def threshold_mask(mask: Mask, value: Level = 0.5) -> Mask:
    """1 where the mask (B, H, W) is above `value`, else 0."""
    return (mask > value).to(mask)


@node("MaskToImage", category="mask", display_name="Convert Mask to Image")
def mask_to_image(mask: Mask) -> Image:
    """Show masks (B, H, W) as grey pictures (B, H, W, 3)."""
    return as_masks(mask)[..., None].expand(-1, -1, -1, 3).contiguous()


@node("ImageToMask", category="mask", display_name="Convert Image to Mask")
def image_to_mask(image: Image, channel: Annotated[Channel, In(tip="Channel to take.")] = "red") -> Mask:
    """Take one channel of pictures (B, H, W, C) as masks (B, H, W).

    Raises ValueError when the alpha of pictures without it is wanted.
    """
    index = ("red", "green", "blue", "alpha").index(channel)
    if index >= image.shape[-1]:
        raise ValueError(
            f"ImageToMask: the picture has {image.shape[-1]} channels and no {channel}; take red, green or blue."
        )
    return image[..., index]


@node("ImageColorToMask", category="mask", display_name="ImageColorToMask")
def image_color_to_mask(image: Image, color: Color = 0) -> Mask:
    """1 where pictures (B, H, W, C), rounded to 8 bits, have exactly the given colour, else 0: (B, H, W)."""
    levels = (image[..., :3].clamp(0, 1) * 255).round().int()
    wanted = torch.tensor([color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF], device=levels.device)
    return (levels == wanted).all(-1).to(image)
