"""Colours as one number, the way colour widgets give them."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from engine.api import In

Color: TypeAlias = Annotated[
    int, In(ge=0, le=0xFFFFFF, step=1, tip="Colour as 0xRRGGBB.", options={"display": "color"})
]


def rgb_of(color: int) -> list[float]:
    """Red, green and blue, 0..1, of 0xRRGGBB."""
    return [(color >> shift & 0xFF) / 255 for shift in (16, 8, 0)]
