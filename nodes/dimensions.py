"""How large pictures, masks, latents and batches may be, said once for validation, widgets and the nodes themselves."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from engine.api import In

MAX_RESOLUTION = 16384
"""Largest width or height of a picture in pixels."""

MAX_BATCH = 4096
"""Most pictures or latents in one batch."""

ONE_CHOICE: dict[str, Any] = {"multiselect": False}
"""What the field says of choices in its newer form of declarations: one is taken, not several."""

Width: TypeAlias = Annotated[int, In(ge=1, le=MAX_RESOLUTION, step=1, tip="Width in pixels.")]
Height: TypeAlias = Annotated[int, In(ge=1, le=MAX_RESOLUTION, step=1, tip="Height in pixels.")]
BatchSize: TypeAlias = Annotated[int, In(ge=1, le=MAX_BATCH, tip="How many to make.")]
Batches: TypeAlias = Annotated[int | list[int], In(ge=1, le=MAX_BATCH, tip="How many in each batch.")]
BatchIndex: TypeAlias = Annotated[int, In(ge=0, le=MAX_BATCH - 1, tip="Position of the first one to take, from 0.")]
BatchLength: TypeAlias = Annotated[int, In(ge=1, le=MAX_BATCH, tip="How many to take.")]
Repeats: TypeAlias = Annotated[int, In(ge=1, le=MAX_BATCH, tip="How many times the batch is repeated.")]
TargetWidth: TypeAlias = Annotated[
    int, In(ge=0, le=MAX_RESOLUTION, step=1, tip="Width in pixels; 0 keeps the proportions of the input.")
]
TargetHeight: TypeAlias = Annotated[
    int, In(ge=0, le=MAX_RESOLUTION, step=1, tip="Height in pixels; 0 keeps the proportions of the input.")
]
Left: TypeAlias = Annotated[int, In(ge=0, le=MAX_RESOLUTION, step=1, tip="Distance from the left edge in pixels.")]
Top: TypeAlias = Annotated[int, In(ge=0, le=MAX_RESOLUTION, step=1, tip="Distance from the top edge in pixels.")]
Margin: TypeAlias = Annotated[int, In(ge=0, le=MAX_RESOLUTION, step=1, tip="Pixels at this edge.")]
Border: TypeAlias = Annotated[int, In(ge=0, le=MAX_RESOLUTION, step=8, tip="Pixels to add at this edge.")]
ScaleFactor: TypeAlias = Annotated[float, In(ge=0.01, le=8.0, step=0.01, tip="Factor for width and height.")]


def require_inside(name: str, x: int, y: int, width: int, height: int) -> None:
    """Raise ValueError when (x, y) is no pixel of a plane of `width` × `height`."""
    if x >= width or y >= height:
        raise ValueError(
            f"{name}: the rectangle begins at x={x}, y={y}, outside the input of {width} × {height} pixels; "
            f"use x below {width} and y below {height}."
        )


def target_size(width: int, height: int, target_width: int, target_height: int) -> tuple[int, int]:
    """The (width, height) to scale to, where one target of 0 follows the other one and keeps the proportions."""
    if target_width == 0:
        return max(1, round(width * target_height / height)), target_height
    if target_height == 0:
        return target_width, max(1, round(height * target_width / width))
    return target_width, target_height


def first_of(value: Any) -> Any:
    """The one value of an input that a node for lists was given."""
    return value[0] if isinstance(value, list) else value
