"""Boxes drawn on a canvas: where things are to be, and what they are.

Saved workflows tell the form of what is drawn. Inferred: elements have `color_palette` also where it is empty, and `text` only
for lettering; `bbox` is top, left, bottom, right.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

from engine.api import Image, In, Out, Socket, WithUi, node
from nodes.bounding_boxes_picture import picture_of
from nodes.dimensions import MAX_RESOLUTION
from nodes.image import BoundingBox
from nodes.layout_prompt import Elements

if TYPE_CHECKING:
    DrawnBoxes: TypeAlias = list[dict[str, Any]]
    AnyBoxes: TypeAlias = Any
else:

    class DrawnBoxes(Socket, io_type="BOUNDING_BOXES"):
        """Boxes in pixels with `metadata`: dicts of type (obj or text), text, desc and palette (#rrggbb)."""

    class AnyBoxes(Socket, io_type="BOUNDING_BOX,ARRAY,STRING"):
        """Boxes in pixels, elements with `bbox` [top, left, bottom, right] of 1000, one or a list, or JSON of them."""


_GRID = 1000
"""Elements have sides from 0 to this."""
_SIDES = ("x", "y", "width", "height")
_KINDS = ("obj", "text")
_NOTHING: list[dict[str, Any]] = []

Canvas = Annotated[int, In(ge=64, le=MAX_RESOLUTION, step=16, tip="Size of the canvas, in pixels.")]


class Drawn(NamedTuple):
    """Boxes in the forms in which other nodes take them."""

    preview: Annotated[Image, Out(tip="The canvas with every box, its label, colours and description.")]
    bboxes: Annotated[BoundingBox, Out(tip="A list of x, y, width and height in pixels.")]
    elements: Annotated[Elements, Out(tip="A list of type, bbox (of 1000), text of lettering, desc and color_palette.")]


@node("CreateBoundingBoxes", category="utils", display_name="Create Bounding Boxes")
def create_bounding_boxes(
    width: Canvas = 1024,
    height: Canvas = 1024,
    editor_state: Annotated[DrawnBoxes, In(tip="Draw from the background to the foreground.")] = _NOTHING,
    background: Annotated[Image | None, In(tip="Picture under the boxes.")] = None,
    bboxes: Annotated[
        AnyBoxes | None, In(tip="Boxes to begin with; a new value takes the place of what was drawn.")
    ] = None,
    last_incoming: Annotated[
        DrawnBoxes | None,
        In(
            tip="What `bboxes` was when the canvas was last begun from it; empty to begin again.",
            options={"advanced": True},
        ),
    ] = None,
) -> WithUi[Drawn]:
    """Give the boxes of a canvas in pixels, as elements of a prompt, and as a picture (1, height, width, 3).

    `bboxes` counts where it is not what the canvas was last begun from; else what was drawn does. Raises ValueError for
    what is no box, and for a type other than obj and text.
    """
    incoming = _boxes_of(bboxes, width, height, "bboxes")
    begun = bool(incoming) and incoming != _boxes_of(last_incoming, width, height, "last_incoming")
    boxes = incoming if begun else _boxes_of(editor_state, width, height, "editor_state")
    return WithUi(
        picture_of(boxes, width, height, background),
        [{side: box[side] for side in _SIDES} for box in boxes],
        [_element(box, width, height) for box in boxes],
        ui={"incoming_boxes": incoming},
    )


def _element(box: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    """A box as an element of a prompt; what lies outside of the canvas is left out."""
    told = box["metadata"]
    top, bottom = (_share(side, height) for side in (box["y"], box["y"] + box["height"]))
    left, right = (_share(side, width) for side in (box["x"], box["x"] + box["width"]))
    lettering = {"text": told["text"]} if told["type"] == "text" else {}
    about = {"desc": told["desc"], "color_palette": list(told["palette"])}
    return {"type": told["type"], "bbox": [top, left, bottom, right], **lettering, **about}


def _share(side: float, whole: int) -> int:
    return round(min(max(side / whole, 0.0), 1.0) * _GRID)


def _boxes_of(value: Any, width: int, height: int, name: str) -> list[dict[str, Any]]:
    """Whatever holds boxes as a list of them in pixels. Raises ValueError for anything else."""
    found = _read(value, name) if isinstance(value, str) else value
    if found is None:
        return []
    if isinstance(found, Mapping):
        found = [found]
    if not isinstance(found, list | tuple):
        raise _refusal(name, found, "a list of boxes")
    return [_box_of(one, width, height, f"{name}[{index}]") for index, one in enumerate(found)]


def _read(text: str, name: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"CreateBoundingBoxes: {name} is a text that is no JSON ({error}). Give a JSON list of boxes."
        ) from None


def _box_of(one: Any, width: int, height: int, name: str) -> dict[str, Any]:
    if not isinstance(one, Mapping):
        raise _refusal(name, one, "a box")
    if "bbox" in one:
        top, left, bottom, right = _numbers(one["bbox"], f"{name}.bbox")
        sides = [left * width / _GRID, top * height / _GRID, right * width / _GRID, bottom * height / _GRID]
        x, y = round(sides[0]), round(sides[1])
        box = {"x": x, "y": y, "width": round(sides[2]) - x, "height": round(sides[3]) - y}
        told: Any = {**one, "palette": one.get("color_palette")}
    else:
        box = dict(zip(_SIDES, map(round, _numbers([one.get(side) for side in _SIDES], name)), strict=True))
        told = one.get("metadata") or {}
    if box["width"] < 1 or box["height"] < 1:
        raise _refusal(name, one, "a box with width and height of at least 1 pixel")
    return {**box, "metadata": _told(told, f"{name}.metadata")}


def _numbers(values: Any, name: str) -> list[float]:
    plain = list(values) if isinstance(values, list | tuple) else []
    numbers = [float(one) for one in plain if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(plain) != 4 or len(numbers) != 4 or not all(math.isfinite(one) for one in numbers):
        raise _refusal(
            name, values, "four numbers: x, y, width, height in pixels, or bbox [top, left, bottom, right] of 1000"
        )
    return numbers


def _told(told: Any, name: str) -> dict[str, Any]:
    """What is said of a box, complete."""
    if not isinstance(told, Mapping):
        raise _refusal(name, told, "a dict of type, text, desc and palette")
    kind, palette = told.get("type") or "obj", told.get("palette") or []
    if kind not in _KINDS:
        raise _refusal(f"{name}.type", kind, "obj or text")
    if not isinstance(palette, list | tuple):
        raise _refusal(f"{name}.palette", palette, "a list of colours such as #ff5733")
    words = {key: str(told.get(key) or "") for key in ("text", "desc")}
    return {"type": kind, **words, "palette": [str(color) for color in palette]}


def _refusal(name: str, got: Any, wanted: str) -> ValueError:
    return ValueError(
        f"CreateBoundingBoxes: {name} must be {wanted}, got {str(got)[:120]}. Draw it anew, or correct what is linked."
    )
