"""Boxes outlined on a picture, with what is in them and how sure that is."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from engine.media.resizing import match_channels

COCO: Final = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, "
    "parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, "
    "tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, "
    "tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, "
    "hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, "
    "keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, "
    "hair drier, toothbrush"
)
"""The 80 classes of the data set COCO, in its order."""

_CLASSES: Final = {name: index for index, name in enumerate(COCO.split(", "))}


def drawn(picture: Tensor, boxes: Sequence[Mapping[str, Any]]) -> Tensor:
    """A picture (H, W, C) with `boxes` over its colours, as (H, W, 3); without a box it is not touched."""
    colours = match_channels(picture, 3)
    if not boxes:
        return colours.clone()
    height, width = colours.shape[:2]
    layer = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(layer)
    size = max(12, round(min(width, height) / 40))
    font = ImageFont.load_default(size)
    for box in boxes:
        _outline(draw, box, (width, height), size, font)
    over = torch.frombuffer(bytearray(layer.tobytes()), dtype=torch.uint8).view(height, width, 4).to(colours) / 255
    return torch.lerp(colours, over[..., :3], over[..., 3:])


def _outline(draw: ImageDraw.ImageDraw, box: Mapping[str, Any], canvas: tuple[int, int], size: int, font: Any) -> None:
    left, top = (_near(box[side], most) for side, most in zip(("x", "y"), canvas))
    right, bottom = (
        _near(box[x] + box[length] - 1, most) for x, length, most in zip("xy", ("width", "height"), canvas)
    )
    if right < left or bottom < top:
        return
    label = str(box.get("label", ""))
    colour = _colour(label)
    draw.rectangle((left, top, right, bottom), outline=colour, width=max(2, size // 6))
    if label not in _CLASSES:
        return
    score = box.get("score")
    text = f"{label} {score:.2f}" if isinstance(score, int | float) else label
    line = round(size * 1.4)
    above = top - line if top >= line else top
    draw.rectangle((left, above, left + draw.textlength(text, font) + size, above + line), fill=colour)
    draw.text((left + size // 2, above + line // 2), text, fill="#000000", font=font, anchor="lm")


def _near(at: float, most: int) -> float:
    """A coordinate, brought to where an outline is still out of sight, so that nothing far away is drawn."""
    return max(-1000.0, min(float(at), most + 1000.0))


def _colour(label: str) -> tuple[int, int, int]:
    """A light colour of its own for each class; hues a golden section apart, so that neighbours differ."""
    hue = _CLASSES.get(label, 0) * 0.618034 % 1
    red, green, blue = (round(part * 255) for part in colorsys.hsv_to_rgb(hue, 0.65, 1.0))
    return red, green, blue
