"""A stack of layers as a value, and the picture that it makes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from engine.media.affine import covered, sampled
from engine.media.bounds import bounded
from engine.media.resizing import fit_mask, match_channels, repeat_to
from nodes.dimensions import MAX_RESOLUTION
from nodes.layer_blending import BLENDS, laid_over

MOST: Final = 50
"""Most layers that are put together."""
_NOTHING: Final = 64
"""Side of the picture of no layer."""


class Layer(NamedTuple):
    """A picture (h, w, 4) with where it goes: the middle of `width` × `height` pixels, turned clockwise in radians."""

    pixels: Tensor
    x: float
    y: float
    width: int
    height: int
    angle: float
    mode: str

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what it may touch."""
        cosine, sine = abs(math.cos(self.angle)), abs(math.sin(self.angle))
        across, down = self.width * cosine + self.height * sine, self.width * sine + self.height * cosine
        middle_x, middle_y = self.x + self.width / 2, self.y + self.height / 2
        left, top = math.floor(middle_x - across / 2 + 1e-6), math.floor(middle_y - down / 2 + 1e-6)
        return left, top, math.ceil(middle_x + across / 2 - 1e-6), math.ceil(middle_y + down / 2 - 1e-6)


def appended(
    layers: Any, items: Sequence[Mapping[str, Any]], name: str, canvas: tuple[int, int] | None = None
) -> dict[str, Any]:
    """A new stack of what `layers` holds and `items` above; `canvas` (width, height) takes the place of its own."""
    below = [] if layers is None else items_of(layers, name)
    size = {"width": canvas[0], "height": canvas[1]} if canvas else (layers or {}).get("canvas")
    return {"version": 1, **({"canvas": size} if size else {}), "items": [*below, *items]}


def items_of(layers: Any, name: str) -> list[Mapping[str, Any]]:
    """The layers of a stack. Raises ValueError for another value, version, or kind of layer."""
    items = layers.get("items") if isinstance(layers, Mapping) else None
    if not isinstance(items, list | tuple):
        raise ValueError(
            f"{name}: layers is {str(layers)[:80]}, which is no stack of layers; link what AddLayer gives."
        )
    if layers.get("version") != 1:
        raise ValueError(f"{name}: layers has version {layers.get('version')!r}; only version 1 is known.")
    for index, item in enumerate(items):
        if not isinstance(item, Mapping) or item.get("type") != "raster" or not isinstance(item.get("image"), Tensor):
            kind = item.get("type") if isinstance(item, Mapping) else type(item).__name__
            raise ValueError(f"{name}: layer {index} is {kind!r}; only layers of type raster with an image are known.")
    return list(items)


def composed(layers: Any) -> Tensor:
    """The picture (H, W, 4) of a stack, straight colours and opacity."""
    items = sorted(items_of(layers, "ImageCompositor"), key=lambda item: item.get("z_index", 0))
    count = sum(len(item["image"]) for item in items)
    if count > MOST:
        raise ValueError(f"ImageCompositor: got {count} layers; at most {MOST} are put together. Flatten some first.")
    placed = [layer for item in items for layer in _layers(item)]
    width, height = _canvas(layers, placed)
    if max(width, height) > MAX_RESOLUTION:
        raise ValueError(
            f"ImageCompositor: the canvas is {width} × {height} pixels; {MAX_RESOLUTION} a side are the most. Move or "
            "shrink the layers, or give a canvas."
        )
    canvas = torch.zeros(bounded(height, width, 4))
    for layer in placed:
        _lay(canvas, layer)
    canvas[..., :3] *= canvas[..., 3:] > 0
    return canvas.clamp(0, 1)


def _canvas(layers: Mapping[str, Any], placed: Sequence[Layer]) -> tuple[int, int]:
    size = layers.get("canvas")
    if size:
        return int(size["width"]), int(size["height"])
    if not placed:
        return _NOTHING, _NOTHING
    return max(1, *(layer.box[2] for layer in placed)), max(1, *(layer.box[3] for layer in placed))


def _layers(item: Mapping[str, Any]) -> list[Layer]:
    """The pictures of an item, lowest first."""
    images = match_channels(item["image"], 4).float()
    opacity = images[..., 3]
    if item.get("mask") is not None:
        mask = fit_mask(item["mask"], *images.shape[1:3]).to(images)
        opacity = opacity * (1 - repeat_to(mask, len(images)))
    opacity = (opacity * min(max(item.get("opacity", 1.0), 0.0), 1.0)).clamp(0, 1)
    pixels = torch.cat([images[..., :3], opacity[..., None]], dim=-1)
    flips = [axis for axis, key in ((1, "flip_v"), (2, "flip_h")) if item.get(key)]
    pixels = pixels.flip(flips) if flips else pixels
    width, height = (
        min(side, MAX_RESOLUTION) if side > 0 else own
        for side, own in ((item.get("width", 0), images.shape[2]), (item.get("height", 0), images.shape[1]))
    )
    x, y = (min(max(item.get(axis, 0), -MAX_RESOLUTION), MAX_RESOLUTION) for axis in ("x", "y"))
    angle, mode = math.radians(item.get("rotation", 0.0) % 360), item.get("blend_mode", "normal").replace("-", "_")
    if mode not in BLENDS:
        raise ValueError(f"ImageCompositor: a layer has the blend mode {mode!r}; known are {', '.join(BLENDS)}.")
    return [Layer(one, x, y, width, height, angle, mode) for one in pixels]


def _lay(canvas: Tensor, layer: Layer) -> None:
    """Put a layer on `canvas` (H, W, 4), which changes."""
    left, top, right, bottom = layer.box
    left, top = max(0, left), max(0, top)
    right, bottom = min(canvas.shape[1], right), min(canvas.shape[0], bottom)
    if right <= left or bottom <= top:
        return
    below = canvas[top:bottom, left:right]
    below.copy_(laid_over(below, _seen(layer, left, top, right, bottom).to(canvas), layer.mode))


def _seen(layer: Layer, left: int, top: int, right: int, bottom: int) -> Tensor:
    """What of a layer lies in a window of the canvas, as (height, width, 4)."""
    height, width = layer.pixels.shape[:2]
    if layer.angle == 0 and (layer.width, layer.height) == (width, height):
        above, before = int(layer.y), int(layer.x)
        return layer.pixels[top - above : bottom - above, left - before : right - before]
    rows, columns = torch.meshgrid(torch.arange(top, bottom) + 0.5, torch.arange(left, right) + 0.5, indexing="ij")
    away_x, away_y = columns - layer.x - layer.width / 2, rows - layer.y - layer.height / 2
    cosine, sine = math.cos(layer.angle), math.sin(layer.angle)
    x = away_x * cosine + away_y * sine + layer.width / 2
    y = away_y * cosine - away_x * sine + layer.height / 2
    scale = width / layer.width, height / layer.height
    planes = torch.cat([layer.pixels[..., :3] * layer.pixels[..., 3:], layer.pixels[..., 3:]], dim=-1).movedim(-1, 0)
    read = sampled(planes, x * scale[0], y * scale[1], scale).movedim(0, -1)
    colours = read[..., :3] / read[..., 3:].clamp(min=1e-6)
    return torch.cat([colours, read[..., 3:] * covered(x, y, layer.width, layer.height)[..., None]], dim=-1)
