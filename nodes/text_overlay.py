"""Text written over pictures."""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple

import torch
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from torch import Tensor

from engine.api import Image, In, Out, node
from nodes.colors import HexColor, parsed_color

_LEAST: Final = 6
"""Smallest size of letters in pixels."""
_SPACING: Final = 1.25
"""Height of a line in sizes of the letters."""
_TAB: Final = "    "


class Style(NamedTuple):
    """How a text stands in a picture."""

    color: tuple[int, int, int]
    position: str
    align: str
    outline: bool


@node("TextOverlay", category="image/text", display_name="Draw Text Overlay")
def text_overlay(
    images: Image,
    text: Annotated[str, In(multiline=True, tip=r"What is written; \n begins a line, \t is a tab.")] = "",
    font_size: Annotated[float, In(ge=0.5, le=50.0, step=0.5, tip="Percent of the picture's height.")] = 5.0,
    color: Annotated[HexColor, In(tip="Colour of the letters.")] = "#ffffff",
    position: Annotated[Literal["top", "bottom"], In(tip="Where the text stands.")] = "top",
    align: Annotated[Literal["left", "center", "right"], In(tip="Where lines begin or end.")] = "left",
    outline: Annotated[bool, In(tip="Draw the letters with a black edge.")] = True,
) -> Annotated[Image, Out(name="images")]:
    """Write a text on every picture (B, H, W, C), in lines that fit the width; an alpha channel becomes opaque there.

    Letters become smaller until all lines fit the height, down to 6 pixels; what does not fit then is left out. The font is
    the one within Pillow (Aileron, which has Latin letters; others are drawn as boxes). Margins are 2 percent of the height
    (inferred). A text of spaces alone changes nothing. Raises ValueError for what is no colour.
    """
    red, green, blue = (round(part * 255) for part in parsed_color(color, "TextOverlay: color")[:3])
    plain = text.replace("\\n", "\n").replace("\\t", "\t").replace("\t", _TAB)
    if not plain.strip():
        return images
    height, width = images.shape[1:3]
    over = _written(plain, width, height, font_size, Style((red, green, blue), position, align, outline)).to(images)
    share, channels = over[..., 3:], images.shape[-1]
    colours = over[..., :3] if channels >= 3 else over[..., :3].mean(-1, keepdim=True)
    written = torch.lerp(images[..., : colours.shape[-1]], colours, share)
    alpha = images[..., colours.shape[-1] :]
    return torch.cat([written, alpha + (1 - alpha) * share], dim=-1)


def _written(text: str, width: int, height: int, percent: float, style: Style) -> Tensor:
    """The text alone (H, W, 4), straight colours and opacity."""
    margin = round(height * 0.02)
    size = max(_LEAST, round(height * percent / 100))
    across, down = max(1, width - 2 * margin), max(1, height - 2 * margin)
    while True:
        font = ImageFont.load_default(size)
        edge = max(1, size // 16) if style.outline else 0
        line = size * _SPACING + 2 * edge
        most = max(1, int(down / line))
        lines = _lines(text, partial(_fits, font, across - 2 * edge), most + 1)
        if len(lines) <= most or size <= _LEAST:
            break
        size = max(_LEAST, int(size * 0.9))
    return _drawn(lines[:most], (width, height), font, line, edge, style)


def _drawn(lines: list[str], canvas: tuple[int, int], font: Any, line: float, edge: int, style: Style) -> Tensor:
    width, height = canvas
    margin = round(height * 0.02)
    layer = PillowImage.new("RGBA", canvas, (*((0, 0, 0) if edge else style.color), 0))
    draw = ImageDraw.Draw(layer)
    top = margin if style.position == "top" else height - margin - math.ceil(len(lines) * line)
    x, anchor = {
        "left": (margin + edge, "lm"),
        "center": (width // 2, "mm"),
        "right": (width - margin - edge, "rm"),
    }[style.align]
    for index, words in enumerate(lines):
        y = top + (index + 0.5) * line
        draw.text((x, y), words, fill=style.color, font=font, anchor=anchor, stroke_width=edge, stroke_fill="#000000")
    pixels = torch.frombuffer(bytearray(layer.tobytes()), dtype=torch.uint8)
    return pixels.view(height, width, 4).float() / 255


def _fits(font: Any, width: int, words: str) -> bool:
    return bool(font.getlength(words) <= width)


def _lines(text: str, fits: Any, most: int) -> list[str]:
    """The text in lines that fit, broken at spaces, or within words that are too long; at most `most` of them."""
    lines: list[str] = []
    for part in text.splitlines():
        rest = part.rstrip()
        while True:
            if len(lines) == most:
                return lines
            taken = _longest(rest, fits)
            lines.append(rest[:taken].rstrip())
            rest = rest[taken:].lstrip()
            if not rest:
                break
    return lines


_FAR: Final = 20_000
"""Letters of a line that are looked at; no picture is wide enough for more."""


def _longest(text: str, fits: Any) -> int:
    """How many letters of `text` stand in one line: as many words as fit, or a part of the first one; one at least."""
    if len(text) <= _FAR and fits(text):
        return len(text)
    low, high = 1, min(len(text), _FAR)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[:middle]) else (low, middle - 1)
    if low < len(text) and text[low] != " ":
        space = text.rfind(" ", 0, low)
        if text[:space].strip():
            return space if space > 0 else low
    return low
