"""Flips and quarter turns, by the names that saved workflows use."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from engine.api import In

FlipMethod: TypeAlias = Annotated[
    Literal["x-axis: vertically", "y-axis: horizontally"], In(tip="Turn upside down, or mirror left and right.")
]
Rotation: TypeAlias = Annotated[Literal["none", "90 degrees", "180 degrees", "270 degrees"], In(tip="Clockwise.")]


def quarter_turns(rotation: str) -> int:
    """How many quarter turns clockwise `rotation` names."""
    return 0 if rotation == "none" else int(rotation.split()[0]) // 90
