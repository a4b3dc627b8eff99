"""Masks and areas in latent pixels: fitting a mask to a latent, its bounding box, soft edges of an area."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

Area = tuple[int, ...]
"""`(height, width, y, x)` in latent pixels, for all frames of latents with time; some: `(frames, height, width, z, y, x)`."""

_FEATHER = 8
_SMALLEST_BOUNDS = 8


def repeat_to(value: Tensor, batch: int) -> Tensor:
    """Repeat a tensor (b, …) along its first axis, cut to (batch, …)."""
    if value.shape[0] == batch:
        return value
    times = -(-batch // value.shape[0])
    return value.repeat(times, *[1] * (value.dim() - 1))[:batch]


def crop(value: Tensor, area: Area | None) -> Tensor:
    """Return a view of what an area covers of a (…, h, w) tensor; None is all of it."""
    if area is None:
        return value
    axes = len(area) // 2
    sides = [slice(begin, begin + size) for size, begin in zip(area[:axes], area[axes:], strict=True)]
    return value[(..., *sides)]  # type: ignore[index]  # of slices


def covering(value: Tensor, height: int, width: int) -> Tensor:
    """Return (b, C, H, W) cut about its centre to the proportions of `height` × `width`, then resized bilinearly to it."""
    have_height, have_width = value.shape[-2:]
    if have_width * height > have_height * width:
        cut = round((have_width - have_height * width / height) / 2)
        value = value[..., cut : have_width - cut]
    elif have_width * height < have_height * width:
        cut = round((have_height - have_width * height / width) / 2)
        value = value[..., cut : have_height - cut, :]
    if value.shape[-2:] == (height, width):
        return value
    return functional.interpolate(value, size=(height, width), mode="bilinear")


def fit_mask(mask: Tensor, shape: torch.Size, device: torch.device) -> Tensor:
    """Return a mask (H, W), (B, H, W) or (B, 1, H, W) as (b, 1, h, w) for latents of `shape` (B, C, …, h, w).

    Resized bilinearly; for latents with time (B, C, T, h, w) it is (b, 1, 1, h, w), and of a mask with frames (b, 1, t, h, w), of
    which each latent frame gets the one at its place in time, (b, 1, T, h, w).
    """
    if mask.ndim == 5 and len(shape) == 5:
        frames = torch.arange(shape[2]) * mask.shape[2] // shape[2]
        each = fit_mask(mask[:, 0, frames].flatten(0, 1), torch.Size((1, *shape[-3:])), device)
        return each.reshape(mask.shape[0], 1, *shape[2:])
    flat = mask.to(device=device, dtype=torch.float32).reshape(-1, 1, *mask.shape[-2:])
    if flat.shape[-2:] != shape[-2:]:
        flat = functional.interpolate(flat, size=tuple(shape[-2:]), mode="bilinear")
    return flat.reshape(flat.shape[0], *[1] * (len(shape) - 3), *shape[-2:])


def latent_mask(mask: Tensor, latent: Tensor) -> Tensor:
    """Return a noise mask as (B, 1, h, w) for the latent (B, C, h, w): 1 is to be made anew, 0 is to be kept."""
    return repeat_to(fit_mask(mask, latent.shape, latent.device), latent.shape[0])


_AREA_UNIT = 8
"""Pixels of the picture that count one in an area option, whatever a latent pixel of the model stands for."""


def resolve_area(
    area: tuple[object, ...] | list[object],
    height: int,
    width: int,
    downscale: int = _AREA_UNIT,
    frames: int | None = None,
) -> Area:
    """Return an area option in latent pixels, each `downscale` pixels of the picture a side.

    The option is `(h, w, y, x)` in units of eight pixels, or `("percentage", h, w, y, x)` in shares of 0..1; for latents of so
    many `frames` also `("percentage", frames, h, w, z, y, x)`. Raises ValueError for that where there are none.
    """
    if area[0] == "percentage" and len(area) == _OF_VIDEO:
        if frames is None:
            raise ValueError(
                "area: expected a rectangle of the picture, got one with a duration, of ConditioningSetAreaPercentageVideo; this "
                "model's latents have no frames. Use ConditioningSetAreaPercentage."
            )
        return _in_video([float(str(value)) for value in area[1:]], (frames, height, width))
    if area[0] == "percentage":
        share = [float(str(value)) for value in area[1:]]
        box = (
            max(1, round(share[0] * height)),
            max(1, round(share[1] * width)),
            round(share[2] * height),
            round(share[3] * width),
        )
    else:
        h, w, y, x = (round(int(str(value)) * _AREA_UNIT / downscale) for value in area)
        box = (max(1, h), max(1, w), y, x)
    h, w, y, x = box
    y, x = min(y, height - 1), min(x, width - 1)
    return min(h, height - y), min(w, width - x), y, x


_OF_VIDEO = 7
"""Parts of an area option with a duration."""


def _in_video(shares: list[float], sides: tuple[int, ...]) -> Area:
    count = len(sides)
    sizes = [max(1, round(share * side)) for share, side in zip(shares[:count], sides, strict=True)]
    begins = [min(round(share * side), side - 1) for share, side in zip(shares[count:], sides, strict=True)]
    fitting = [min(size, side - begin) for size, side, begin in zip(sizes, sides, begins, strict=True)]
    return (*fitting, *begins)


def mask_bounds(mask: Tensor) -> Area:
    """Return the smallest box around what is not zero in a mask (b, …, h, w), at least 8 latent pixels each way."""
    used = mask.abs().flatten(0, -3).amax(dim=0) > 0
    rows, columns = used.any(dim=1).nonzero().flatten(), used.any(dim=0).nonzero().flatten()
    if len(rows) == 0:
        return _SMALLEST_BOUNDS, _SMALLEST_BOUNDS, 0, 0
    y, x = int(rows[0]), int(columns[0])
    return max(_SMALLEST_BOUNDS, int(rows[-1]) - y + 1), max(_SMALLEST_BOUNDS, int(columns[-1]) - x + 1), y, x


def feathered(area: Area, sides: tuple[int, ...], device: torch.device) -> Tensor:
    """Return weights (1, 1, h, w) of an area: 1 inside, a ramp over 8 pixels at the edges that are not the picture's.

    `sides` (height, width): of the picture. Of an area in latents with time, `sides` (frames, height, width), the weights are
    (1, 1, t, h, w), with a ramp over frames too.

    The ramp goes up by eighths (or fewer parts in an area under 32 pixels), starting above 0, so that areas side by side
    blend instead of leaving a seam.
    """
    axes = len(sides)
    weights = torch.ones((1, 1, *[1] * axes))
    for number, (size, begin, side) in enumerate(zip(area[:axes], area[axes:], sides, strict=True)):
        ramp = _ramp(size, fade_in=begin > 0, fade_out=begin + size < side)
        weights = weights * ramp.reshape(-1, *[1] * (axes - 1 - number))
    return weights.to(device)


def _ramp(length: int, *, fade_in: bool, fade_out: bool) -> Tensor:
    weights = torch.ones(length)
    parts = min(_FEATHER, length // 4)
    if parts == 0:
        return weights
    ramp = torch.arange(1, parts + 1) / parts
    if fade_in:
        weights[:parts] *= ramp
    if fade_out:
        weights[-parts:] *= ramp.flip(0)
    return weights


def covers(outer: Area, inner: Area) -> bool:
    """Say whether an area has all of another."""
    axes = len(outer) // 2
    return len(outer) == len(inner) and all(
        outer[axes + axis] <= inner[axes + axis]
        and outer[axes + axis] + outer[axis] >= inner[axes + axis] + inner[axis]
        for axis in range(axes)
    )


def pixels(area: Area | None) -> int:
    """Return how many latent pixels an area has, of all its frames; 0 for none."""
    return math.prod(area[: len(area) // 2]) if area is not None else 0
