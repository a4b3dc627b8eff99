"""Pictures as Qwen's vision towers take them: patches in the order of their merging, normalised."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from engine.models.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.towers.seeing import SeeingKind

_LONGEST = 200
"""How many times as long as wide a picture may be at most."""


class Patches(NamedTuple):
    """A picture's patches (N, 3 * frames * side²), each frame the same picture, and their grid: 1, rows, columns."""

    values: Tensor
    grid: tuple[int, int, int]
    tokens: int


def patches(picture: Tensor, kind: SeeingKind, patch: int, frames: int, merge: int) -> Patches:
    """Return the patches of the first picture of (B, H, W, 3 or more) in 0..1.

    It is brought to sides that are multiples of `patch * merge` by linear interpolation, as the field does it; the library's own
    processor does it by cubic one, on 8-bit pictures. Raises ModelError for a picture that is too thin.
    """
    pixels = picture[:1, ..., :3].movedim(-1, 1).float()
    height, width = fitted(pixels.shape[-2], pixels.shape[-1], patch * merge, kind.least, kind.most)
    if pixels.shape[-2:] != (height, width):
        pixels = functional.interpolate(pixels, size=(height, width), mode="bilinear", align_corners=False)
    mean, deviation = (torch.tensor(value)[:, None, None] for value in (kind.mean, kind.deviation))
    normal = ((pixels[0] - mean) / deviation).expand(frames, -1, -1, -1)
    rows, columns = height // patch, width // patch
    squares = normal.reshape(frames, 3, rows // merge, merge, patch, columns // merge, merge, patch)
    values = squares.permute(2, 5, 3, 6, 1, 0, 4, 7).reshape(rows * columns, -1)
    return Patches(values, (1, rows, columns), rows * columns // merge**2)


def fitted(height: int, width: int, factor: int, least: int, most: int) -> tuple[int, int]:
    """Return the nearest sides that are multiples of `factor`, within so many pixels, of about the same shape."""
    if max(height, width) > _LONGEST * min(height, width):
        raise ModelError(
            f"a picture of {width} x {height} pixels: expected one at most {_LONGEST} times as long as wide."
        )
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    if rows * columns > most:
        ratio = math.sqrt(height * width / most)
        return _each(lambda side: max(factor, math.floor(side / ratio / factor) * factor), height, width)
    if rows * columns < least:
        ratio = math.sqrt(least / (height * width))
        return _each(lambda side: math.ceil(side * ratio / factor) * factor, height, width)
    return rows, columns


def _each(fit: Callable[[int], int], height: int, width: int) -> tuple[int, int]:
    return fit(height), fit(width)
