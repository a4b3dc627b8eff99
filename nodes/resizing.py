"""Resizing and repeating of pictures, masks and latents, with the method names of the field."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn.functional import interpolate, pad

from nodes.dimensions import bounded

Crop: TypeAlias = Literal["disabled", "center"]
ImageMethod: TypeAlias = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
LatentMethod: TypeAlias = Literal["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]


def resize(planes: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """Resize `planes` (B, C, h, w) or (B, C, T, h, w) to `width` × `height`.

    `crop="center"` first cuts the longer direction so that proportions are kept; "disabled" stretches. Methods are those
    of `torch.nn.functional.interpolate` without antialiasing, plus "lanczos" and "bislerp".
    """
    if planes.ndim == 5:
        batch, channels, frames = planes.shape[:3]
        flat = resize(planes.movedim(2, 1).flatten(0, 1), width, height, method, crop)
        return flat.reshape(batch, frames, channels, height, width).movedim(1, 2)
    bounded(*planes.shape[:2], height, width)
    if crop == "center":
        planes = _cut_to_proportions(planes, width / height)
    if planes.shape[-2:] == (height, width):
        return planes
    if method == "lanczos":
        return _lanczos(planes, width, height)
    if method == "bislerp":
        return _bislerp(_bislerp(planes, width).mT, height).mT
    return interpolate(planes, size=(height, width), mode=method)


def resize_images(images: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """Resize `images` (B, H, W, C) to (B, height, width, C); overshoot of bicubic and lanczos is cut to 0..1."""
    return resize(images.movedim(-1, 1), width, height, method, crop).movedim(1, -1).clamp(0.0, 1.0)


def as_masks(mask: Tensor) -> Tensor:
    """A mask of any number of leading dimensions as (B, H, W)."""
    return mask.reshape(-1, *mask.shape[-2:])


def fit_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """`mask` as (B, height, width), stretched bilinearly where its size differs."""
    return resize(as_masks(mask)[:, None], width, height, "bilinear")[:, 0]


def repeat_to(batch: Tensor, count: int) -> Tensor:
    """`batch` (B, …) with exactly `count` items: repeated from its start, or cut."""
    if batch.shape[0] == count:
        return batch
    bounded(count, *batch.shape[1:])
    return batch[torch.arange(count, device=batch.device) % batch.shape[0]]


def match_batches(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Both batches at the length of the longer one."""
    count = max(first.shape[0], second.shape[0])
    return repeat_to(first, count), repeat_to(second, count)


def match_channels(images: Tensor, channels: int) -> Tensor:
    """`images` (B, H, W, C) with `channels` of 3 or 4: alpha is dropped, or added as opaque."""
    if images.shape[-1] >= channels:
        return images[..., :channels]
    return pad(images, (0, channels - images.shape[-1]), value=1.0)


def _cut_to_proportions(planes: Tensor, proportions: float) -> Tensor:
    """Cut equal parts off both sides of the longer direction until width / height is `proportions`."""
    height, width = planes.shape[-2:]
    x = y = 0
    if width / height > proportions:
        x = round((width - height * proportions) / 2)
    else:
        y = round((height - width / proportions) / 2)
    # A very flat target must leave at least one row or column.
    x, y = min(x, (width - 1) // 2), min(y, (height - 1) // 2)
    return planes[..., y : height - y, x : width - x]


def _lanczos(planes: Tensor, width: int, height: int) -> Tensor:
    """Pillow's windowed sinc (a = 3, antialiased when shrinking), on floats so that no precision is lost."""
    flat = planes.flatten(0, 1).cpu().float().numpy()
    resized = [
        np.asarray(PillowImage.fromarray(plane).resize((width, height), PillowImage.Resampling.LANCZOS))
        for plane in flat
    ]
    return torch.from_numpy(np.stack(resized)).reshape(*planes.shape[:2], height, width).to(planes)


def _bislerp(planes: Tensor, width: int) -> Tensor:
    """Resize the last dimension of (B, C, h, w), interpolating channel vectors on the sphere (Shoemake 1985).

    Directions turn at constant speed and lengths are interpolated linearly, so latents keep their variance, which plain
    bilinear interpolation lowers between pixels.
    """
    old = planes.shape[-1]
    at = ((torch.arange(width, device=planes.device, dtype=torch.float32) + 0.5) * (old / width) - 0.5).clamp(
        0, old - 1
    )
    low = at.floor().long()
    high = (low + 1).clamp(max=old - 1)
    mixed = _slerp(planes[..., low].float(), planes[..., high].float(), at - low)
    return mixed.to(planes.dtype)


def _slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation along dimension 1; nearly parallel or opposite vectors are interpolated linearly."""
    start_length = start.norm(dim=1, keepdim=True)
    end_length = end.norm(dim=1, keepdim=True)
    start_unit = start / start_length.clamp(min=1e-12)
    end_unit = end / end_length.clamp(min=1e-12)
    cosine = (start_unit * end_unit).sum(1, keepdim=True)
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin().clamp(min=1e-12)
    direction = (((1 - share) * angle).sin() * start_unit + (share * angle).sin() * end_unit) / sine
    linear = torch.lerp(start, end, share.expand_as(start))
    turned = direction * torch.lerp(start_length, end_length, share.expand_as(start_length))
    vanishing = (start_length < 1e-12) | (end_length < 1e-12)
    return torch.where((cosine.abs() > 1 - 1e-5) | vanishing, linear, turned)
