"""Pictures: making, measuring, scaling, cutting, padding and turning them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from engine.api import Image, In, Mask, Out, Socket, node
from engine.media.bounds import bounded
from engine.media.resizing import Crop, ImageMethod, resize_images
from nodes.colors import Color, rgb_of
from nodes.dimensions import (
    MAX_RESOLUTION,
    ONE_CHOICE,
    BatchSize,
    Border,
    Height,
    Left,
    ScaleFactor,
    TargetHeight,
    TargetWidth,
    Top,
    Width,
    target_size,
)
from nodes.orientation import FlipMethod, Rotation, quarter_turns

_METHOD_TIP = "How pixels are computed; area or lanczos to shrink, lanczos to enlarge."
Method = Annotated[ImageMethod, In(tip=_METHOD_TIP)]
SingleMethod = Annotated[ImageMethod, In(tip=_METHOD_TIP, options=ONE_CHOICE)]


if TYPE_CHECKING:
    BoundingBox: TypeAlias = Mapping[str, int]
else:

    class BoundingBox(Socket, io_type="BOUNDING_BOX"):
        """A rectangle in pixels: a dict of x, y, width and height."""


_REGION = {"x": 0, "y": 0, "width": 512, "height": 512}


class ImageSize(NamedTuple):
    """Sizes of a batch of pictures."""

    width: Annotated[int, Out(tip="Width in pixels.")]
    height: Annotated[int, Out(tip="Height in pixels.")]
    batch_size: Annotated[int, Out(tip="How many pictures.")]


class Padded(NamedTuple):
    """A picture with a border, and the mask of what is to be painted there."""

    IMAGE: Image
    MASK: Mask


@node("EmptyImage", category="image")
def empty_image(width: Width = 512, height: Height = 512, batch_size: BatchSize = 1, color: Color = 0) -> Image:
    """Make pictures (batch_size, height, width, 3) of one colour."""
    shape = bounded(batch_size, height, width, 3)
    return torch.tensor(rgb_of(color)).expand(*shape).contiguous()


@node("GetImageSize", category="image", display_name="Get Image Size", hidden={"unique_id": "UNIQUE_ID"})
def get_image_size(image: Image) -> ImageSize:
    """Give width, height and number of the pictures (B, H, W, C)."""
    batch, height, width, _ = image.shape
    return ImageSize(width, height, batch)


@node("ImageScale", category="image/upscaling", display_name="Upscale Image")
def image_scale(
    image: Image,
    upscale_method: Method = "nearest-exact",
    width: TargetWidth = 512,
    height: TargetHeight = 512,
    crop: Annotated[Crop, In(tip="center keeps proportions by cutting; disabled stretches.")] = "disabled",
) -> Image:
    """Scale pictures (B, H, W, C) to (B, height, width, C). A width or height of 0 follows the other one.

    Both 0 change nothing.
    """
    if width == height == 0:
        return image
    new_width, new_height = target_size(image.shape[2], image.shape[1], width, height)
    return resize_images(image, new_width, new_height, upscale_method, crop)


@node("ImageScaleBy", category="image/upscaling", display_name="Upscale Image By")
def image_scale_by(image: Image, upscale_method: Method = "nearest-exact", scale_by: ScaleFactor = 1.0) -> Image:
    """Scale pictures (B, H, W, C) to (B, H × scale_by, W × scale_by, C), rounded."""
    height, width = (max(1, round(size * scale_by)) for size in image.shape[1:3])
    return resize_images(image, width, height, upscale_method)


@node("ImageScaleToTotalPixels", category="image/upscaling", display_name=None)
def image_scale_to_total_pixels(
    image: Image,
    upscale_method: SingleMethod = "nearest-exact",
    megapixels: Annotated[float, In(ge=0.01, le=16, step=0.01, tip="Area in units of 1024 × 1024 pixels.")] = 1.0,
    resolution_steps: Annotated[
        int | None, In(ge=1, le=256, tip="Width and height become multiples of this.", options={"advanced": True})
    ] = 1,
) -> Image:
    """Scale pictures (B, H, W, C) in proportion to an area of `megapixels` × 1024 × 1024 pixels."""
    scale = math.sqrt(int(megapixels * 1024 * 1024) / (image.shape[1] * image.shape[2]))
    step = resolution_steps or 1
    height, width = (max(1, round(size * scale / step)) * step for size in image.shape[1:3])
    return resize_images(image, width, height, upscale_method)


@node("ImageScaleToMaxDimension", category="image/upscaling", display_name=None)
def image_scale_to_max_dimension(
    image: Image,
    upscale_method: Annotated[
        str,
        In(
            choices=("area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"),
            tip=_METHOD_TIP,
            options=ONE_CHOICE,
        ),
    ] = "area",
    largest_size: Annotated[
        int, In(ge=0, le=MAX_RESOLUTION, step=1, tip="The longer side in pixels; at least 1 makes a picture.")
    ] = 512,
) -> Image:
    """Scale pictures (B, H, W, C) in proportion, so that the longer side is `largest_size`. Raises ValueError for 0."""
    height, width = image.shape[1:3]
    if largest_size < 1:
        raise ValueError("ImageScaleToMaxDimension: a largest_size of 0 leaves no picture; use at least 1.")
    if height > width:
        size = max(1, round(width / height * largest_size)), largest_size
    else:
        size = largest_size, max(1, round(height / width * largest_size))
    return resize_images(image, *size, upscale_method)


@node("ImageCrop", category="image/transform", display_name="Image Crop")
def image_crop(image: Image, width: Width = 512, height: Height = 512, x: Left = 0, y: Top = 0) -> Image:
    """Cut a rectangle out of pictures (B, H, W, C); what reaches past the right or bottom edge is left out.

    A rectangle that begins outside begins in the last column (or row) instead.
    """
    return _cut(image, x, y, width, height)


def _cut(image: Image, x: int, y: int, width: int, height: int) -> Image:
    left, top = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return image[:, top : top + height, left : left + width].clone()  # a view would keep the whole picture in memory


@node("ImageCropV2", category="image/transform", display_name="Crop Image")
def image_crop_v2(
    image: Image,
    crop_region: Annotated[BoundingBox, In(tip="The rectangle to keep, in pixels: x, y, width and height.")] = _REGION,
) -> Image:
    """Cut a rectangle out of pictures (B, H, W, C); what reaches past the right or bottom edge is left out.

    A rectangle that begins outside begins in the last column (or row) instead. Raises ValueError for what is no rectangle.
    """
    x, y, width, height = _sides(crop_region)
    return _cut(image, x, y, width, height)


def _sides(region: Any) -> tuple[int, int, int, int]:
    """x, y, width and height of a box; the first two at least 0, the others at least 1."""
    found = [region.get(name) for name in _REGION] if isinstance(region, Mapping) else []
    numbers = [int(side) for side in found if isinstance(side, int | float) and abs(side) <= MAX_RESOLUTION]
    if len(numbers) != 4 or min(numbers[:2]) < 0 or min(numbers[2:]) < 1:
        raise ValueError(
            f"ImageCropV2: crop_region is {str(region)[:80]}; it takes x and y from 0, width and height from 1, "
            f"all up to {MAX_RESOLUTION}."
        )
    x, y, width, height = numbers
    return x, y, width, height


@node("ImagePadForOutpaint", category="image", display_name="Pad Image for Outpainting")
def image_pad_for_outpaint(
    image: Image,
    left: Border = 0,
    top: Border = 0,
    right: Border = 0,
    bottom: Border = 0,
    feathering: Annotated[
        int, In(ge=0, le=MAX_RESOLUTION, step=1, tip="Pixels over which the mask fades into the picture.")
    ] = 40,
) -> Padded:
    """Add a border of 0.5 in all channels to pictures (B, H, W, C), and give the mask (1, H', W') of what to paint.

    The mask is 1 on the border and falls off quadratically into the picture, over `feathering` pixels, at those edges
    that have a border. Without room for it (twice the feathering in the picture) the mask has a hard edge.
    """
    batch, height, width, channels = image.shape
    shape = bounded(batch, height + top + bottom, width + left + right, channels)
    padded = torch.full(shape, 0.5, dtype=image.dtype)
    padded[:, top : top + height, left : left + width] = image
    mask = torch.ones(1, *shape[1:3])
    fade = torch.zeros(height, width)
    if feathering and feathering * 2 < min(height, width):
        distance = torch.minimum(_distance(height, top, bottom)[:, None], _distance(width, left, right)[None])
        fade = ((feathering - distance) / feathering).clamp(0, 1).square()
    mask[:, top : top + height, left : left + width] = fade
    return Padded(padded, mask)


def _distance(size: int, before: int, after: int) -> Tensor:
    """For each of `size` pixels in a row, how far the nearest edge that has a border is.

    The first pixel is 0 from the edge before it, the last one 1 from the edge after it, as in the field.
    """
    at = torch.arange(size, dtype=torch.float32)
    far = torch.full((size,), float("inf"))
    return torch.minimum(at if before else far, size - at if after else far)


@node("ImageFlip", category="image/transform", display_name="ImageFlip")
def image_flip(image: Image, flip_method: FlipMethod = "x-axis: vertically") -> Image:
    """Turn pictures (B, H, W, C) upside down, or mirror them."""
    return image.flip(1 if flip_method.startswith("x") else 2)


@node("ImageRotate", category="image/transform", display_name="ImageRotate")
def image_rotate(image: Image, rotation: Rotation = "none") -> Image:
    """Turn pictures (B, H, W, C) clockwise by quarter turns."""
    return image.rot90(quarter_turns(rotation), dims=(2, 1))
