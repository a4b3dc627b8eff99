"""Pictures and masks at another size, in one of several ways to say which."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from torch import Tensor

from engine.api import Choosing, Image, In, Mask, Out, node
from engine.media.resizing import ImageMethod, as_masks, resize, resize_images
from nodes.dimensions import MAX_RESOLUTION, ONE_CHOICE, target_size

LARGEST: Final = 8192
"""Largest width or height in pixels that can be asked for."""

_TYPES = {"template_id": "input_type", "allowed_types": "IMAGE,MASK"}


def _pixels(tip: str) -> list[Any]:
    return ["INT", {"default": 512, "min": 0, "max": LARGEST, "step": 1, "tooltip": tip}]


def _way(key: str, **inputs: list[Any]) -> dict[str, Any]:
    return {"key": key, "inputs": {"required": inputs}}


_CROP = [
    "COMBO",
    {"default": "center", "options": ["disabled", "center"], "tooltip": "center keeps proportions by cutting."},
]
_WIDTH, _HEIGHT = (_pixels(f"{side} in pixels; 0 follows the other side.") for side in ("Width", "Height"))
_SCALED = "in pixels; the other one keeps the proportions."
_FACTOR = {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01, "tooltip": "Factor for width and height."}
_AREA = {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01, "tooltip": "Area in units of 1024 × 1024 pixels."}
_MULTIPLE = {"default": 8, "min": 1, "max": LARGEST, "step": 1, "tooltip": "Width and height become multiples of this."}
_MATCH = ["IMAGE,MASK", {"tooltip": "The picture or mask whose size is taken."}]

WAYS: Final = [
    _way("scale dimensions", width=_WIDTH, height=_HEIGHT, crop=_CROP),
    _way("scale by multiplier", multiplier=["FLOAT", _FACTOR]),
    _way("scale longer dimension", longer_size=_pixels(f"The longer side {_SCALED}")),
    _way("scale shorter dimension", shorter_size=_pixels(f"The shorter side {_SCALED}")),
    _way("scale width", width=_pixels(f"Width {_SCALED}")),
    _way("scale height", height=_pixels(f"Height {_SCALED}")),
    _way("scale total pixels", megapixels=["FLOAT", _AREA]),
    _way("match size", match=_MATCH, crop=_CROP),
    _way("scale to multiple", multiple=["INT", _MULTIPLE]),
]
"""The ways to say a size, each with the inputs that it brings, as editors read them."""

Size = tuple[int, int]
"""(width, height) in pixels."""


@node("ResizeImageMaskNode", category="image/transform", display_name="Resize Image/Mask")
def resize_image_mask(
    input: Annotated[Image | Mask, In(tip="Pictures or masks.", options={"template": _TYPES})],
    resize_type: Annotated[Choosing, In(tip="How the new size is said.", options={"options": WAYS})],
    scale_method: Annotated[
        ImageMethod,
        In(tip="How pixels are computed; area or lanczos to shrink, lanczos to enlarge.", options=ONE_CHOICE),
    ] = "area",
) -> Annotated[Image | Mask, Out(name="resized", match="input_type")]:
    """Scale pictures (B, H, W, C) or masks (B, H, W): to a size, by a factor, to a side, an area, or the size of another.

    Sizes are rounded, but to multiples they go down, and the picture is scaled to cover that and cut at the middle (inferred);
    one multiple is the least. A width or height of 0 follows the other one, and both 0 change nothing. Raises ValueError
    where the longer or shorter side is to be 0.
    """
    pictures = input.ndim == 4
    planes = input.movedim(-1, 1) if pictures else as_masks(input)[:, None]
    width, height = _SIZES[resize_type["resize_type"]]((planes.shape[-1], planes.shape[-2]), resize_type)
    if width == height == 0:
        return input
    width, height = target_size(planes.shape[-1], planes.shape[-2], width, height)
    usual = "center" if resize_type["resize_type"] == "scale to multiple" else "disabled"
    scaled = resize(planes, width, height, scale_method, resize_type.get("crop", usual))
    return scaled.movedim(1, -1) if pictures else scaled[:, 0]


@node("ResizeAndPadImage", category="image/transform", display_name=None)
def resize_and_pad_image(
    image: Image,
    target_width: Annotated[int, In(ge=1, le=MAX_RESOLUTION, step=1, tip="Width of the result in pixels.")] = 512,
    target_height: Annotated[int, In(ge=1, le=MAX_RESOLUTION, step=1, tip="Height of the result in pixels.")] = 512,
    padding_color: Annotated[Literal["white", "black"], In(tip="What is put around the picture.")] = "white",
    interpolation: Annotated[
        Literal["area", "bicubic", "nearest-exact", "bilinear", "lanczos"],
        In(tip="How pixels are computed; area or lanczos to shrink, lanczos to enlarge."),
    ] = "area",
) -> Image:
    """Scale pictures (B, H, W, C) to fit into a size with their proportions, in the middle of what one colour fills up.

    Sides are rounded down, to one pixel at least, and of an odd margin the larger half lies right and below.
    """
    height, width = image.shape[1:3]
    scale = min(target_width / width, target_height / height)
    inner_width, inner_height = (max(1, int(side * scale)) for side in (width, height))
    scaled = resize_images(image, inner_width, inner_height, interpolation)
    padded = image.new_full(
        (len(image), target_height, target_width, image.shape[-1]), 1.0 if padding_color == "white" else 0.0
    )
    top, left = (target_height - inner_height) // 2, (target_width - inner_width) // 2
    padded[:, top : top + inner_height, left : left + inner_width] = scaled
    return padded


def _times(size: Size, factor: float) -> Size:
    width, height = (max(1, round(side * factor)) for side in size)
    return width, height


def _to_side(size: Size, height: bool, given: int) -> Size:
    """`size` in proportion, with a width of `given`, or else a `height` of it."""
    if given < 1:
        raise ValueError("ResizeImageMaskNode: a side of 0 pixels leaves no picture; use at least 1.")
    return target_size(*size, *((0, given) if height else (given, 0)))


def _area(size: Size, values: Mapping[str, Any]) -> Size:
    return _times(size, math.sqrt(int(values["megapixels"] * 1024 * 1024) / (size[0] * size[1])))


def _like(size: Size, values: Mapping[str, Any]) -> Size:
    match: Tensor = values["match"]
    height, width = match.shape[1:3] if match.ndim == 4 else match.shape[-2:]
    return width, height


def _down_to_multiples(size: Size, multiple: int) -> Size:
    width, height = (max(multiple, side // multiple * multiple) for side in size)
    return width, height


_SIZES: Final[Mapping[str, Callable[[Size, Mapping[str, Any]], Size]]] = {
    "scale dimensions": lambda _, values: (values["width"], values["height"]),
    "scale by multiplier": lambda size, values: _times(size, values["multiplier"]),
    "scale longer dimension": lambda size, values: _to_side(size, size[1] > size[0], values["longer_size"]),
    "scale shorter dimension": lambda size, values: _to_side(size, size[1] < size[0], values["shorter_size"]),
    "scale width": lambda _, values: (values["width"], 0),
    "scale height": lambda _, values: (0, values["height"]),
    "scale total pixels": _area,
    "match size": _like,
    "scale to multiple": lambda size, values: _down_to_multiples(size, values["multiple"]),
}
"""The size to scale to, of a size and the values of a way; a side of 0 follows the other one."""
