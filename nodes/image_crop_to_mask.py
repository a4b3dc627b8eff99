"""A picture cut to what a mask shows of it, over one colour."""

from __future__ import annotations

import logging
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from engine.api import Image, In, Mask, Out, node
from engine.media.affine import covered, sampled
from engine.media.bounds import bounded
from engine.media.resizing import fit_mask, match_channels, repeat_to
from nodes.colors import HexColor, parsed_color

_log = logging.getLogger(__name__)

Side = Annotated[int, In(ge=64, le=4096, step=8, tip="Size of the result in pixels.")]


@node("ImageCropToMask", category="image/transform", display_name="Crop Image to Mask")
def image_crop_to_mask(
    images: Image,
    masks: Annotated[Mask, In(tip="1 where the subject is; one for all pictures, or one for each.")],
    width: Side = 1024,
    height: Side = 1024,
    pad_factor: Annotated[
        float, In(ge=1.0, le=2.0, step=0.01, tip="Size of the cut in units of the subject's box.")
    ] = 1.0,
    grow_mask: Annotated[int, In(ge=-32, le=32, step=1, tip="Pixels by which the mask grows, or shrinks below 0.")] = 0,
    background: Annotated[HexColor, In(tip="Colour behind the subject.")] = "#000000",
) -> Annotated[Image, Out(name="images")]:
    """Cut the subject of pictures (B, H, W, C) out and put it in the middle of one colour: (B, height, width, 3).

    The cut has the result's proportions and may reach past the picture, where the colour goes on. A mask whose border is
    subject and whose middle is not is taken for an inverted one, and so is one without a subject; where that leaves nothing
    the whole picture is taken. Inferred: a pixel is subject above 0.5, the mask grows as a square, and pixels are
    interpolated bilinearly, after averaging when made smaller.
    Raises ValueError when there are several masks, but not one for each picture.
    """
    if len(masks) not in (1, len(images)):
        raise ValueError(
            f"ImageCropToMask: got {len(masks)} masks for {len(images)} pictures; give one mask, or one for each picture."
        )
    colour = torch.tensor(parsed_color(background, "ImageCropToMask: background")[:3])
    bounded(len(images), height, width, 3)
    fitted = repeat_to(fit_mask(masks, *images.shape[1:3]), len(images)).float()
    pairs = zip(match_channels(images, 3).float(), fitted)
    return torch.cat([_cut(image, mask, (width, height), pad_factor, grow_mask, colour) for image, mask in pairs])


def _cut(image: Tensor, mask: Tensor, size: tuple[int, int], pad_factor: float, grow: int, colour: Tensor) -> Tensor:
    """One picture (H, W, 3) by its mask (H, W), as (1, height, width, 3)."""
    mask = _grown(_upright(mask).clamp(0, 1), grow)
    box = _box(mask)
    if box is None:
        mask = 1 - mask
        box = _box(mask)
    if box is None:
        _log.warning("ImageCropToMask: the mask has no subject, so the whole picture is taken.")
        box, mask = (0, 0, mask.shape[1], mask.shape[0]), torch.ones_like(mask)
    composite = torch.lerp(colour.to(image).expand_as(image), image, mask[..., None])
    return _window(composite, _framed(box, size, pad_factor), size, colour)


def _upright(mask: Tensor) -> Tensor:
    """The mask, or its inverse where it is subject along the border and none in the middle."""
    height, width = mask.shape
    border = torch.cat([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    middle = mask[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return 1 - mask if border.mean() > 0.5 and middle.mean() < 0.5 else mask


def _grown(mask: Tensor, pixels: int) -> Tensor:
    if pixels == 0:
        return mask
    reach = abs(pixels)
    plane = mask[None, None] if pixels > 0 else -mask[None, None]
    pooled = max_pool2d(plane, 2 * reach + 1, stride=1, padding=reach)[0, 0]
    return pooled if pixels > 0 else -pooled


def _box(mask: Tensor) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what is above 0.5."""
    subject = mask > 0.5
    rows, columns = (subject.any(axis).nonzero() for axis in (1, 0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _framed(
    box: tuple[int, int, int, int], size: tuple[int, int], pad_factor: float
) -> tuple[float, float, float, float]:
    """The rectangle of the result's proportions around the middle of `box`: left, top, width and height."""
    left, top, right, bottom = box
    across, down = (right - left) * pad_factor, (bottom - top) * pad_factor
    across = max(across, down * size[0] / size[1])
    down = across * size[1] / size[0]
    return (left + right - across) / 2, (top + bottom - down) / 2, across, down


def _window(
    picture: Tensor, window: tuple[float, float, float, float], size: tuple[int, int], colour: Tensor
) -> Tensor:
    """A window of a picture (H, W, 3) at another size, (1, height, width, 3), with `colour` outside of the picture."""
    left, top, across, down = window
    width, height = size
    scale = across / width, down / height
    y, x = torch.meshgrid(
        top + (torch.arange(height) + 0.5) * scale[1], left + (torch.arange(width) + 0.5) * scale[0], indexing="ij"
    )
    pixels = sampled(picture.movedim(-1, 0), x, y, scale).movedim(0, -1)
    inside = covered(x / scale[0], y / scale[1], picture.shape[1] / scale[0], picture.shape[0] / scale[1])
    return torch.lerp(colour.to(pixels).expand_as(pixels), pixels, inside[..., None].to(pixels)).clamp(0, 1)[None]
