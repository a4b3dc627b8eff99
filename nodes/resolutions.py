"""Widths and heights that models were trained on, or that have a wanted shape and area."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeAlias

from engine.api import Image, In, Out, Socket, node
from engine.media.resizing import resize_images
from nodes.dimensions import ONE_CHOICE

if TYPE_CHECKING:
    ResolutionPreview: TypeAlias = object
else:

    class ResolutionPreview(Socket, io_type="RESOLUTION_PREVIEW"):
        """What editors show there: the size that comes out. It has no value."""


AspectRatio = Literal[
    "1:1 (Square)",
    "2:3 (Portrait Photo)",
    "3:2 (Photo)",
    "3:4 (Portrait Standard)",
    "4:3 (Standard)",
    "9:16 (Portrait Widescreen)",
    "16:9 (Widescreen)",
    "21:9 (Ultrawide)",
]

KONTEXT_SIZES = (
    *((672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184), (944, 1104)),
    (1024, 1024),
    *((1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752), (1456, 720), (1504, 688), (1568, 672)),
)
"""(width, height) of the pictures that FLUX.1 Kontext was trained on, from the narrowest to the widest."""


class Resolution(NamedTuple):
    """A size in pixels."""

    width: Annotated[int, Out(tip="Width in pixels.")]
    height: Annotated[int, Out(tip="Height in pixels.")]


@node("ResolutionSelector", category="utils", display_name="Resolution Selector")
def resolution_selector(
    aspect_ratio: Annotated[AspectRatio, In(tip="Width to height.", options=ONE_CHOICE)] = "1:1 (Square)",
    megapixels: Annotated[float, In(ge=0.1, le=16, step=0.1, tip="Area in units of 1024 × 1024 pixels.")] = 1.0,
    preview: Annotated[ResolutionPreview | None, In(tip="The size that comes out.")] = None,
    multiple: Annotated[int | None, In(ge=8, le=128, step=4, tip="Width and height become multiples of this.")] = 8,
) -> Resolution:
    """Give the width and height of an area and a shape, each rounded to the nearest multiple."""
    across, down = (int(side) for side in aspect_ratio.partition(" ")[0].split(":"))
    step = multiple or 8
    unit = math.sqrt(megapixels * 1024 * 1024 / (across * down))
    return Resolution(*(max(1, round(side * unit / step)) * step for side in (across, down)))


@node("FluxKontextImageScale", category="advanced/conditioning/flux", display_name=None)
def flux_kontext_image_scale(image: Image) -> Image:
    """Scale pictures (B, H, W, C) to the size nearest in shape that FLUX.1 Kontext was trained on, cut at the middle."""
    shape = image.shape[2] / image.shape[1]
    width, height = min(KONTEXT_SIZES, key=lambda size: abs(shape - size[0] / size[1]))
    return resize_images(image, width, height, "lanczos", "center")
