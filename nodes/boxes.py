"""Boxes around what was found in pictures: made by hand, drawn, and cut out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch

from engine.api import Image, In, Out, node
from engine.media.bounds import bounded
from engine.media.resizing import repeat_to, resize_images
from nodes.boxes_drawing import drawn
from nodes.dimensions import MAX_RESOLUTION
from nodes.image import BoundingBox

_CANVAS = 640
"""Smallest side of a canvas that is made for boxes, in pixels."""
_FARTHEST = 2**31
"""Pixels from which on a number is no place; sums of larger ones may be infinite."""
_SIDES = ("x", "y", "width", "height")

Place = Annotated[int, In(ge=0, le=MAX_RESOLUTION, tip="Distance of the top left corner, in pixels.")]
Side = Annotated[int, In(ge=1, le=MAX_RESOLUTION, tip="Size in pixels.")]
Output = Annotated[int | None, In(ge=64, le=4096, step=8, tip="Size that each cut is brought to, in pixels.")]
Found = Annotated[
    BoundingBox,
    In(tip="One box, a list that goes for every picture, or a list of lists, one per picture.", link_only=True),
]
Box = Mapping[str, Any]


@node("PrimitiveBoundingBox", category="utils/primitive", display_name="Bounding Box")
def primitive_bounding_box(x: Place = 0, y: Place = 0, width: Side = 512, height: Side = 512) -> BoundingBox:
    """Give a rectangle in pixels, from its top left corner and its size."""
    return {"x": x, "y": y, "width": width, "height": height}


@node("DrawBBoxes", category="image/detection", display_name="Draw BBoxes")
def draw_bboxes(
    bboxes: Found,
    image: Annotated[Image | None, In(tip="Pictures to draw on; without them it is done on black ones.")] = None,
) -> Annotated[Image, Out(name="out_image")]:
    """Outline boxes on pictures (B, H, W, C), each with its `label` and `score`; gives (B, H, W, 3).

    Boxes are dicts of x, y, width and height in pixels. A label is written where it is one of the 80 classes of COCO. The
    canvas without a picture is as large as the boxes reach, and 640 × 640 at least. Pictures repeat where there are more
    lists of boxes, and the last list goes on where there are fewer (inferred, as are the colours).
    Raises ValueError for what is no box.
    """
    frames = _per_frame(bboxes, "DrawBBoxes")
    if image is None:
        reach = [(box["x"] + box["width"], box["y"] + box["height"]) for boxes in frames for box in boxes]
        width, height = (max([_CANVAS, *(math.ceil(one[axis]) for one in reach)]) for axis in (0, 1))
        if max(width, height) > MAX_RESOLUTION:
            raise ValueError(
                f"DrawBBoxes: the boxes reach to {width} × {height} pixels, and a canvas has {MAX_RESOLUTION} at most. "
                "Link the picture that they belong to."
            )
        image = torch.zeros(bounded(max(1, len(frames)), height, width, 3))
    pictures = repeat_to(image, max(len(image), len(frames)))
    if not len(pictures):
        raise ValueError("DrawBBoxes: the batch of pictures is empty; see what is linked to image.")
    return torch.stack([drawn(picture, _frame(frames, index)) for index, picture in enumerate(pictures)])


@node("CropByBBoxes", category="image/detection", display_name="Crop By Bounding Boxes")
def crop_by_bboxes(
    image: Image,
    bboxes: Found,
    output_width: Output = 512,
    output_height: Output = 512,
    padding: Annotated[int | None, In(ge=0, le=1024, tip="Pixels added at each side of the box.")] = 0,
    keep_aspect: Annotated[
        Literal["stretch", "pad"] | None, In(tip="pad keeps proportions and fills up with black.")
    ] = "stretch",
) -> Image:
    """Cut what the boxes of each picture (B, H, W, C) enclose together, and bring it to (B, output_height, output_width, C).

    Without a box, or with one that is outside, the largest rectangle of the result's proportions is cut from the middle of
    the top. Inferred: pixels are interpolated bilinearly, and averaged when made smaller.
    Raises ValueError for what is no box.
    """
    width, height = output_width or 512, output_height or 512
    frames = _per_frame(bboxes, "CropByBBoxes")
    bounded(len(image), height, width, image.shape[-1])
    cuts = []
    for index, picture in enumerate(image):
        left, top, right, bottom = _region(_frame(frames, index), picture.shape[1], picture.shape[0], padding or 0)
        if right <= left or bottom <= top:
            left, top, right, bottom = _top_middle(picture.shape[1], picture.shape[0], width / height)
        cut = picture[None, top:bottom, left:right]
        cuts.append(_fitted(cut, width, height) if keep_aspect == "pad" else _scaled(cut, width, height))
    return torch.cat(cuts)


def _per_frame(bboxes: Any, name: str) -> list[list[dict[str, Any]]]:
    """The boxes of each picture; one list goes for all. Raises ValueError for what is no box."""
    if isinstance(bboxes, Mapping):
        return [[_box(bboxes, name)]]
    if not isinstance(bboxes, Sequence) or isinstance(bboxes, str):
        raise ValueError(f"{name}: bboxes is {str(bboxes)[:80]}; link boxes with x, y, width and height.")
    if any(isinstance(one, list | tuple) for one in bboxes):
        rows = [one if isinstance(one, list | tuple) else [one] for one in bboxes]
        return [[_box(box, name) for box in row] for row in rows]
    return [[_box(box, name) for box in bboxes]]


def _box(box: Any, name: str) -> dict[str, Any]:
    sides = [box.get(side) for side in _SIDES] if isinstance(box, Mapping) else []
    numbers = [float(side) for side in sides if isinstance(side, int | float) and -_FARTHEST <= side <= _FARTHEST]
    if len(numbers) != 4:
        raise ValueError(
            f"{name}: a box is {str(box)[:80]}; each is a dict of x, y, width and height in pixels, up to {_FARTHEST} (and, "
            "if known, label and score)."
        )
    return {**box, **dict(zip(_SIDES, numbers))}


def _frame(frames: Sequence[list[dict[str, Any]]], index: int) -> list[dict[str, Any]]:
    return frames[min(index, len(frames) - 1)] if frames else []


def _region(boxes: Sequence[Box], width: int, height: int, padding: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the smallest rectangle around all boxes, within a picture; all 0 without one."""
    if not boxes:
        return 0, 0, 0, 0
    left, top = (min(math.floor(box[side]) for box in boxes) - padding for side in ("x", "y"))
    right = max(math.ceil(box["x"] + box["width"]) for box in boxes) + padding
    bottom = max(math.ceil(box["y"] + box["height"]) for box in boxes) + padding
    return max(0, left), max(0, top), min(width, right), min(height, bottom)


def _top_middle(width: int, height: int, proportions: float) -> tuple[int, int, int, int]:
    across, down = min(width, max(1, round(height * proportions))), min(height, max(1, round(width / proportions)))
    left = (width - across) // 2
    return left, 0, left + across, down


def _scaled(cut: Image, width: int, height: int) -> Image:
    smaller = width < cut.shape[2] and height < cut.shape[1]
    return resize_images(cut, width, height, "area" if smaller else "bilinear")


def _fitted(cut: Image, width: int, height: int) -> Image:
    """The cut as large as fits, in the middle of black, of alpha 1 where there is one."""
    scale = min(width / cut.shape[2], height / cut.shape[1])
    across, down = (
        max(1, min(most, round(side * scale))) for side, most in ((cut.shape[2], width), (cut.shape[1], height))
    )
    canvas = cut.new_zeros(1, height, width, cut.shape[-1])
    canvas[..., 3:] = 1
    top, left = (height - down) // 2, (width - across) // 2
    canvas[:, top : top + down, left : left + across] = _scaled(cut, across, down)
    return canvas
