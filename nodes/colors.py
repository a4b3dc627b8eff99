"""Colours as one number, the way colour widgets give them, and as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

from engine.api import In, Out, Socket, node

Color: TypeAlias = Annotated[
    int, In(ge=0, le=0xFFFFFF, step=1, tip="Colour as 0xRRGGBB.", options={"display": "color"})
]

if TYPE_CHECKING:
    HexColor: TypeAlias = str
else:

    class HexColor(Socket, io_type="COLOR"):
        """A colour as text: #RRGGBB, or #RRGGBBAA with its opacity."""


_HEX = re.compile(r"#([0-9a-fA-F]{6})([0-9a-fA-F]{2})?")


class Picked(NamedTuple):
    """One colour in three parts."""

    rgb_int: Annotated[int, Out(tip="0xRRGGBB, as the nodes take it that have a colour.")]
    hex: Annotated[HexColor, Out(tip="#RRGGBB.")]
    alpha: Annotated[float, Out(tip="Opacity, 0..1; 1 where the colour says none.")]


def rgb_of(color: int) -> list[float]:
    """Red, green and blue, 0..1, of 0xRRGGBB."""
    return [(color >> shift & 0xFF) / 255 for shift in (16, 8, 0)]


def parsed_color(text: str, where: str) -> tuple[float, float, float, float]:
    """Red, green, blue and opacity, 0..1, of #RRGGBB or #RRGGBBAA. Raises ValueError, naming `where`, for another text."""
    found = _HEX.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{where} is {str(text)[:80]!r}, which is no colour; write #RRGGBB, such as #ff5733.")
    rgb, alpha = found.groups()
    red, green, blue = rgb_of(int(rgb, 16))
    return red, green, blue, int(alpha, 16) / 255 if alpha else 1.0


@node("ColorToRGBInt", category="utils", display_name="Color Picker")
def color_to_rgb_int(color: Annotated[HexColor, In(tip="#RRGGBB, or #RRGGBBAA.")] = "#ffffff") -> Picked:
    """Give a colour such as #ff5733 as a number and its opacity. Raises ValueError for what is no such text."""
    found = _HEX.fullmatch(color) if isinstance(color, str) else None
    if found is None:
        raise ValueError(
            f"ColorToRGBInt: {str(color)[:80]!r} is no colour; write #RRGGBB or #RRGGBBAA, such as #ff5733."
        )
    rgb, alpha = found.groups()
    return Picked(int(rgb, 16), f"#{rgb}", int(alpha, 16) / 255 if alpha else 1.0)
