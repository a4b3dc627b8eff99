"""Pictures with something around them: a colour, or their own mirror image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import torch
from torch import Tensor

from engine.api import Choosing, Image, In, node
from engine.media.bounds import bounded
from nodes.colors import parsed_color
from nodes.dimensions import MAX_RESOLUTION


def _pixels(side: str) -> list[Any]:
    tip = f"Pixels to add on the {side}."
    return ["INT", {"default": 0, "min": 0, "max": MAX_RESOLUTION, "step": 1, "tooltip": tip}]


PADDINGS: Final = [
    {
        "key": "pad dimensions",
        "inputs": {"required": {side: _pixels(side) for side in ("left", "top", "right", "bottom")}},
    },
    {
        "key": "pad by multiplier",
        "inputs": {
            "required": {
                "multiplier": [
                    "FLOAT",
                    {
                        "default": 1.0,
                        "min": 1.0,
                        "max": 8.0,
                        "step": 0.01,
                        "tooltip": "Size of the result in units of the picture's: 1.5 adds a quarter at each side.",
                    },
                ]
            }
        },
    },
    {
        "key": "pad to multiple",
        "inputs": {
            "required": {
                "multiple": [
                    "INT",
                    {
                        "default": 32,
                        "min": 1,
                        "max": MAX_RESOLUTION,
                        "step": 1,
                        "tooltip": "Width and height become multiples of this.",
                    },
                ]
            }
        },
    },
]
"""The ways to say how much is added, each with the inputs that it brings, as editors read them."""

STYLES: Final[list[dict[str, Any]]] = [
    {
        "key": "color",
        "inputs": {
            "required": {
                "color": ["COLOR", {"default": "#000000", "tooltip": "Colour of what is added."}],
                "feathering": [
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": MAX_RESOLUTION,
                        "step": 1,
                        "tooltip": "Pixels over which the picture fades into the colour, where something is added.",
                    },
                ],
            }
        },
    },
    {"key": "mirror image", "inputs": {"required": {}}},
]
"""What is added, with the inputs that it brings."""

Sides = tuple[int, int, int, int]
"""Pixels at the left, top, right and bottom."""


@node("PadImageNode", category="image/transform", display_name="Pad Image")
def pad_image(
    image: Image,
    padding_type: Annotated[Choosing, In(tip="How the amount is said.", options={"options": PADDINGS})],
    padding_style: Annotated[Choosing, In(tip="What is added.", options={"options": STYLES})],
) -> Image:
    """Add a border to pictures (B, H, W, C): of one colour, alpha 1, or their mirror image without the edge repeated.

    Amounts are pixels per side, a factor of the size, or what makes the size a multiple; halves of odd ones are larger right
    and below. Where the border is wider than the picture, mirror images go on. `feathering` fades the picture linearly:
    the pixel at a padded edge has 1 / (feathering + 1) of it (the fall-off is inferred). Nothing to add changes nothing.
    Raises ValueError for what is no colour.
    """
    sides = _sides(image.shape[2], image.shape[1], padding_type)
    if not any(sides):
        return image
    left, top, right, bottom = sides
    batch, height, width, channels = image.shape
    shape = bounded(batch, height + top + bottom, width + left + right, channels)
    if padding_style["padding_style"] == "mirror image":
        rows, columns = _mirrored(height, top, bottom), _mirrored(width, left, right)
        return image[:, rows][:, :, columns]
    fill = torch.ones(channels)
    fill[: min(3, channels)] = torch.tensor(parsed_color(padding_style["color"], "PadImageNode: color")[:3])[:channels]
    padded = fill.to(image).expand(shape).clone()
    share = _share(height, width, sides, padding_style["feathering"]).to(image)
    inner = padded[:, top : top + height, left : left + width]
    inner.copy_(torch.lerp(inner, image, share))
    return padded


def _sides(width: int, height: int, way: Mapping[str, Any]) -> Sides:
    match way["padding_type"]:
        case "pad dimensions":
            return way["left"], way["top"], way["right"], way["bottom"]
        case "pad by multiplier":
            more = [round(side * way["multiplier"]) - side for side in (width, height)]
        case _:
            more = [-side % way["multiple"] for side in (width, height)]
    left, top = (side // 2 for side in more)
    return left, top, more[0] - left, more[1] - top


def _mirrored(size: int, before: int, after: int) -> Tensor:
    """Indices of `size` pixels with more on both sides, mirrored again and again without repeating the edge."""
    period = max(1, 2 * (size - 1))
    at = torch.arange(-before, size + after) % period
    return torch.minimum(at, period - at) if size > 1 else torch.zeros_like(at)


def _share(height: int, width: int, sides: Sides, feathering: int) -> Tensor:
    """How much of the picture is left at each pixel (height, width, 1)."""
    left, top, right, bottom = sides
    rows, columns = _fade(height, feathering, top, bottom), _fade(width, feathering, left, right)
    return torch.minimum(rows[:, None], columns[None])[..., None]


def _fade(size: int, feathering: int, before: int, after: int) -> Tensor:
    at = (torch.arange(1, size + 1, dtype=torch.float32) / (feathering + 1)).clamp(max=1)
    share = at if before else torch.ones(size)
    return torch.minimum(share, at.flip(0)) if after else share
