"""The picture of a canvas with boxes, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import torch
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor

from engine.media.resizing import resize_images

_EMPTY = 0.12
"""Brightness of a canvas without a picture."""
_HUES = ("#4da3ff", "#ff9f43", "#2ecc71", "#ff6b81", "#a55eea", "#f7d046")
"""Outlines of boxes that have no colours of their own, in turn."""


def picture_of(boxes: Sequence[Mapping[str, Any]], width: int, height: int, background: Tensor | None) -> Tensor:
    """The canvas (1, height, width, 3) with `boxes` in pixels over the first picture of `background` (B, H, W, C), stretched."""
    canvas = Image.frombytes("RGB", (width, height), _under(width, height, background))
    draw = ImageDraw.Draw(canvas)
    size = max(12, round(min(width, height) / 50))
    font = ImageFont.load_default(size)
    for number, box in enumerate(boxes, start=1):
        _draw(draw, number, box, size, font)
    pixels = torch.frombuffer(bytearray(canvas.tobytes()), dtype=torch.uint8)
    return pixels.view(1, height, width, 3).float() / 255


def _under(width: int, height: int, background: Tensor | None) -> bytes:
    if background is None:
        plane = torch.full((height, width, 3), _EMPTY)
    else:
        plane = resize_images(background[:1, ..., :3].float(), width, height, "bilinear")[0].clamp(0, 1)
    return (plane.cpu() * 255).round().to(torch.uint8).contiguous().numpy().tobytes()


def _draw(draw: ImageDraw.ImageDraw, number: int, box: Mapping[str, Any], size: int, font: Any) -> None:
    """Outline, a label in its corner, swatches below that, and the words inside."""
    told = box["metadata"]
    colors = [color for color in told["palette"] if _is_color(color)]
    outline = colors[0] if colors else _HUES[(number - 1) % len(_HUES)]
    x, y = box["x"], box["y"]
    draw.rectangle((x, y, x + box["width"] - 1, y + box["height"] - 1), outline=outline, width=max(2, size // 6))
    label = f"{number} {told['type']}"
    line = round(size * 1.4)
    draw.rectangle((x, y, x + draw.textlength(label, font) + size, y + line), fill=outline)
    draw.text((x + size // 2, y + line // 2), label, fill=_ink(outline), font=font, anchor="lm")
    for index, color in enumerate(colors):
        left = x + size // 2 + index * size
        draw.rectangle((left, y + line + 4, left + size - 2, y + line + 2 + size), fill=color, outline="#000000")
    top = y + line + (size + 8 if colors else 4)
    words = "\n".join(part for part in (told["text"], told["desc"]) if part)
    for text in _lines(words, max(4, int(box["width"] / (size * 0.55)))):
        if top + line > y + box["height"]:
            break
        draw.text((x + size // 2, top), text, fill="#ffffff", font=font, stroke_width=2, stroke_fill="#000000")
        top += line


def _lines(words: str, letters: int) -> list[str]:
    return [line for part in words.splitlines() for line in wrap(part, letters)]


def _is_color(text: str) -> bool:
    try:
        ImageColor.getrgb(text)
    except ValueError:
        return False
    return True


def _ink(color: str) -> str:
    red, green, blue = ImageColor.getrgb(color)[:3]
    return "#000000" if 0.3 * red + 0.59 * green + 0.11 * blue > 140 else "#ffffff"
