"""Where boxes put layers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from engine.media.resizing import fit_mask

_SIDES = ("x", "y", "width", "height")
_GRID = 1000
_NAME = "LayersFromBoundingBoxes"


def placements(bboxes: Any, width: int, height: int) -> list[dict[str, Any]]:
    """x, y, width, height, and what is told of each box: name, z_index, content_rect. Raises ValueError for what is none."""
    found = _read(bboxes) if isinstance(bboxes, str) else bboxes
    if isinstance(found, Mapping):
        found = [found]
    if not isinstance(found, list | tuple):
        raise ValueError(f"{_NAME}: bboxes is {str(found)[:80]}; link a list of boxes, or JSON of one.")
    if found and all(isinstance(one, list | tuple) for one in found):
        found = [box for row in found for box in row]  # one list for each picture, as detectors give them
    return [_placement(one, width, height, index) for index, one in enumerate(found)]


def framed(
    image: Tensor, mask: Tensor | None, place: Mapping[str, Any], crop: bool, index: int
) -> tuple[Tensor, Tensor | None, dict[str, Any]]:
    """A picture (1, H, W, C), its mask (1, H, W), cut to its content where that is told, and the facts of the layer."""
    placed = {key: place[key] for key in ("name", "z_index", *_SIDES) if key in place}
    rect = place.get("content_rect")
    if not crop or rect is None:
        return image, mask, placed
    x, y, width, height = (int(side) for side in _numbers(rect, f"the content_rect of box {index}"))
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > image.shape[2] or y + height > image.shape[1]:
        raise ValueError(
            f"{_NAME}: the content_rect of box {index} is {dict(rect)}, which is not within its picture of "
            f"{image.shape[2]} × {image.shape[1]} pixels."
        )
    cut = image[:, y : y + height, x : x + width].clone()
    shade = None if mask is None else _cut_mask(mask, image, (x, y, width, height))
    placed = {key: value for key, value in placed.items() if key not in ("width", "height")}
    return cut, shade, {**placed, "x": placed.get("x", 0) + x, "y": placed.get("y", 0) + y}


def _cut_mask(mask: Tensor, image: Tensor, rect: tuple[int, int, int, int]) -> Tensor:

    x, y, width, height = rect
    return fit_mask(mask, *image.shape[1:3])[:, y : y + height, x : x + width].clone()


def _read(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else []
    except ValueError as error:
        raise ValueError(f"{_NAME}: bboxes is a text that is no JSON ({error}). Give a JSON list of boxes.") from None


def _placement(one: Any, width: int, height: int, index: int) -> dict[str, Any]:
    if not isinstance(one, Mapping):
        raise ValueError(f"{_NAME}: box {index} is {str(one)[:80]}; each is a dict of x, y, width and height.")
    if "bbox" in one:
        if not (width and height):
            raise ValueError(
                f"{_NAME}: box {index} has a bbox of {_GRID}, which needs canvas_width and canvas_height; give both."
            )
        top, left, bottom, right = _numbers(one["bbox"], f"the bbox of box {index}")
        x, y = round(left * width / _GRID), round(top * height / _GRID)
        sides = {"x": x, "y": y}
        sides |= {"width": round(right * width / _GRID) - x, "height": round(bottom * height / _GRID) - y}
    else:
        sides = dict(zip(_SIDES, map(round, _numbers([one.get(side) for side in _SIDES], f"box {index}"))))
    told = one.get("metadata")
    told = {**one, **told} if isinstance(told, Mapping) else one
    facts: dict[str, Any] = {"name": str(told.get("name") or told.get("desc") or "")}
    if isinstance(told.get("z_index"), int):
        facts["z_index"] = told["z_index"]
    if isinstance(told.get("content_rect"), Mapping):
        facts["content_rect"] = told["content_rect"]
    return {**sides, **facts}


def _numbers(values: Any, what: str) -> list[float]:
    plain = [values.get(side) for side in _SIDES] if isinstance(values, Mapping) else values
    given = list(plain) if isinstance(plain, list | tuple) else []
    numbers = [float(one) for one in given if isinstance(one, int | float) and math.isfinite(one)]
    if len(given) != 4 or len(numbers) != 4:
        raise ValueError(
            f"{_NAME}: {what} is {str(values)[:80]}; it takes four numbers: x, y, width and height in pixels, or bbox "
            f"[top, left, bottom, right] of {_GRID}."
        )
    return numbers
