"""Pictures together: batches, lists, layers, rows, alpha channels."""

from __future__ import annotations

from functools import reduce
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from engine.api import Growing, Image, In, Mask, node
from engine.media.bounds import bounded
from engine.media.resizing import fit_mask, match_channels, repeat_to, resize_images
from nodes.compositing import paste
from nodes.dimensions import MAX_RESOLUTION, Batches, BatchIndex, BatchLength, Repeats, first_of

Offset = Annotated[int, In(ge=0, le=MAX_RESOLUTION, step=1, tip="Where the source's top left corner goes.")]

SPACING_COLORS = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}


_PICTURES = {"input": {"required": {"image": ["IMAGE", {}]}}, "min": 1, "prefix": "image", "max": 50}
"""What grows on a batch: pictures, under the names image0 to image49."""


class ImageAndMask(NamedTuple):
    """Colours, and what of them is see-through."""

    IMAGE: Image
    MASK: Mask


@node("ImageBatch", category="image", display_name="Batch Images")
def image_batch(image1: Image, image2: Image) -> Image:
    """Put two batches of pictures (B, H, W, C) behind one another.

    The second is scaled and cut to the size of the first; if one has alpha, the other becomes opaque.
    """
    channels = max(image1.shape[-1], image2.shape[-1])
    fitted = resize_images(image2, image1.shape[2], image1.shape[1], "bilinear", "center")
    return torch.cat([match_channels(image1, channels), match_channels(fitted, channels).to(image1)])


@node("BatchImagesNode", category="image", display_name="Batch Images")
def batch_images(
    images: Annotated[
        Growing, In(tip="Pictures, or batches of them, in their order.", options={"template": _PICTURES})
    ],
) -> Image:
    """Put all linked pictures or batches of them (B, H, W, C) behind one another.

    They are scaled and cut to the size of the first; if one has alpha, the others become opaque.
    """
    linked: list[Tensor] = [images[name] for name in sorted(images, key=lambda name: int(name.removeprefix("image")))]
    return reduce(image_batch, linked)


@node("ImageFromBatch", category="image/batch")
def image_from_batch(image: Image, batch_index: BatchIndex = 0, length: BatchLength = 1) -> Image:
    """Take `length` pictures from `batch_index` on; past the end, the last ones there are."""
    first = min(batch_index, image.shape[0] - 1)
    return image[first : first + length].clone()  # a view would keep the whole batch in memory


@node("RepeatImageBatch", category="image/batch")
def repeat_image_batch(image: Image, amount: Repeats = 1) -> Image:
    """Repeat the whole batch (B, H, W, C) to (B × amount, H, W, C)."""
    return repeat_to(image, image.shape[0] * amount)


@node("RebatchImages", category="image/batch", display_name="Rebatch Images", input_is_list=True)
def rebatch_images(images: list[Image], batch_size: Batches = 1) -> list[Image]:
    """Deal all pictures out again, as a list of batches of `batch_size`; pictures of another size start a new batch."""
    size = first_of(batch_size)
    batches: list[Tensor] = []
    for image in images:
        if batches and batches[-1].shape[1:] == image.shape[1:] and batches[-1].shape[0] % size:
            image = torch.cat([batches.pop(), image])
        batches.extend(image[first : first + size] for first in range(0, image.shape[0], size))
    return batches


@node("ImageCompositeMasked", category="image", display_name="ImageCompositeMasked")
def image_composite_masked(
    destination: Image,
    source: Image,
    x: Offset = 0,
    y: Offset = 0,
    resize_source: Annotated[bool, In(tip="Stretch the source to the size of the destination.")] = False,
    mask: Annotated[Mask | None, In(tip="1 where the source shows; stretched to the source.")] = None,
) -> Image:
    """Lay `source` (b, h, w, C) over `destination` (B, H, W, C) at (x, y), where `mask` is 1; gives (B, H, W, C).

    What reaches past the edges is cut off. The source takes the channels and the batch of the destination.
    """
    layer = match_channels(source, destination.shape[-1]).movedim(-1, 1)
    return paste(destination.movedim(-1, 1), layer, x, y, mask, resize_source).movedim(1, -1)


@node("ImageStitch", category="image/transform", display_name="Image Stitch")
def image_stitch(
    image1: Image,
    direction: Annotated[Literal["right", "down", "left", "up"], In(tip="Side on which image2 goes.")] = "right",
    match_image_size: Annotated[bool, In(tip="Scale image2 to the height (or width) of image1.")] = True,
    spacing_width: Annotated[int, In(ge=0, le=1024, step=2, tip="Pixels between the two.")] = 0,
    spacing_color: Annotated[Literal["white", "black", "red", "green", "blue"], In(tip="Colour of the gap.")] = "white",
    image2: Image | None = None,
) -> Image:
    """Set two batches of pictures (B, H, W, C) side by side, or below one another.

    Sizes across the seam are made equal by scaling image2, or else by margins around the smaller one, in white if that is
    the colour of the gap and black otherwise. The shorter batch goes on with its last picture.
    """
    if image2 is None:
        return image1
    across = 1 if direction in ("right", "left") else 2
    count = max(image1.shape[0], image2.shape[0])
    first, second = _lengthened(image1, count), _lengthened(image2, count)
    if match_image_size:
        second = _matched(second, first, across)
    else:
        size = max(first.shape[across], second.shape[across])
        margin = 1.0 if spacing_color == "white" else 0.0
        first, second = (_centred(images, across, size, margin) for images in (first, second))
    channels = max(first.shape[-1], second.shape[-1])
    parts = [match_channels(first, channels), match_channels(second, channels)]
    if spacing_width:
        parts.insert(1, _gap(parts[0], 3 - across, spacing_width + spacing_width % 2, spacing_color))
    return torch.cat(parts[::-1] if direction in ("left", "up") else parts, dim=3 - across)


def _lengthened(images: Tensor, count: int) -> Tensor:
    """`images` (B, …) with the last one repeated up to `count`."""
    return images[torch.arange(count, device=images.device).clamp(max=images.shape[0] - 1)]


def _matched(second: Tensor, first: Tensor, across: int) -> Tensor:
    """`second` scaled in proportion to the size of `first` in dimension `across`."""
    proportions = second.shape[2] / second.shape[1]
    height, width = first.shape[1:3]
    if across == 1:
        width = int(height * proportions)
    else:
        height = int(width / proportions)
    return resize_images(second, max(1, width), max(1, height), "lanczos").to(first)


def _gap(beside: Tensor, dimension: int, size: int, color: str) -> Tensor:
    """Opaque pictures of one colour, as large as `beside` but for `size` in `dimension`."""
    shape = list(beside.shape[:3])
    shape[dimension] = size
    return match_channels(torch.tensor(SPACING_COLORS[color]).expand(*shape, 3), beside.shape[-1]).to(beside)


def _centred(images: Tensor, dimension: int, size: int, value: float) -> Tensor:
    """`images` with margins of `value`, alpha too, at both ends of `dimension`, `size` long there."""
    missing = size - images.shape[dimension]
    if not missing:
        return images
    result = images.new_full(bounded(*images.shape[:dimension], size, *images.shape[dimension + 1 :]), value)
    result.narrow(dimension, missing // 2, images.shape[dimension]).copy_(images)
    return result


@node("SplitImageWithAlpha", category="mask/compositing", display_name="Split Image with Alpha")
def split_image_with_alpha(image: Image) -> ImageAndMask:
    """Split pictures (B, H, W, C) into colours (B, H, W, 3) and a mask (B, H, W) that is 1 where they are see-through."""
    alpha = match_channels(image, 4)[..., 3]
    return ImageAndMask(image[..., :3], 1.0 - alpha)


@node("JoinImageWithAlpha", category="mask/compositing", display_name="Join Image with Alpha")
def join_image_with_alpha(
    image: Image, alpha: Annotated[Mask, In(tip="1 where the picture is to be see-through.")]
) -> Image:
    """Give pictures (B, H, W, C) a new alpha channel 1 - `alpha`, repeated to their number or cut: (B, H, W, 4)."""
    colours = image[..., :3]
    mask = repeat_to(fit_mask(alpha, image.shape[1], image.shape[2]), image.shape[0])
    return torch.cat([colours, 1.0 - mask.to(colours)[..., None]], dim=-1)
