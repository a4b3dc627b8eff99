"""Resizing and repeating of pictures, masks and latents, with the method names of the field."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn.functional import interpolate, pad

from engine.media.bounds import bounded
from engine.media.tensors import to_bytes

Crop: TypeAlias = Literal["disabled", "center"]
ImageMethod: TypeAlias = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
LatentMethod: TypeAlias = Literal["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]


def resize(planes: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """Resize `planes` (B, C, h, w) or (B, C, T, h, w) to `width` × `height`.

    `crop="center"` first cuts the longer direction so that proportions are kept; "disabled" stretches. Methods are those
    of `torch.nn.functional.interpolate` without antialiasing, whose bicubic may overshoot, plus "lanczos", which gives
    8-bit values 0..1 whatever the sizes, and "bislerp".
    """
    if planes.ndim == 5:
        batch, channels, frames = planes.shape[:3]
        flat = resize(planes.movedim(2, 1).flatten(0, 1), width, height, method, crop)
        return flat.reshape(batch, frames, channels, height, width).movedim(1, 2)
    bounded(*planes.shape[:2], height, width)
    if crop == "center":
        planes = _cut_to_proportions(planes, width / height)
    if method == "lanczos":
        return _lanczos(planes, width, height)
    if method == "bislerp":
        return _bislerp(_bislerp(planes, width).mT, height).mT
    if planes.shape[-2:] == (height, width):
        return planes
    return interpolate(planes, size=(height, width), mode=method)


def resize_images(images: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """Resize `images` (B, H, W, C) to (B, height, width, C); bicubic may leave 0..1."""
    return resize(images.movedim(-1, 1), width, height, method, crop).movedim(1, -1)


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
    if not len(batch):
        raise ValueError(f"A batch without an item was to become one of {count}; see what it is linked to.")
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
    old = width / height
    x = y = 0
    # The quotients are the field's: which half is rounded to the even number depends on their last bit.
    if old > proportions:
        x = round((width - width * (proportions / old)) / 2)
    elif old < proportions:
        y = round((height - height * (old / proportions)) / 2)
    # A very flat target must leave at least one row or column.
    x, y = min(x, (width - 1) // 2), min(y, (height - 1) // 2)
    return planes[..., y : height - y, x : width - x]


def _lanczos(planes: Tensor, width: int, height: int) -> Tensor:
    """Pillow's windowed sinc (a = 3, antialiased when shrinking) on 8-bit pictures, truncated, as the field does.

    Four channels are RGBA, resized with the colours weighted by alpha; two are grey and alpha. Other numbers of channels
    are resized one by one.
    """
    together = planes.shape[1] in (1, 2, 3, 4)
    pictures = to_bytes((planes if together else planes.flatten(0, 1)[:, None]).movedim(1, -1))
    resized = [_resampled(picture, width, height) for picture in pictures]
    stacked = torch.from_numpy(np.stack(resized).astype(np.float32) / np.float32(255))
    return stacked.movedim(-1, 1).reshape(*planes.shape[:2], height, width).to(planes)


def _resampled(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """One picture (h, w, C) as (height, width, C), C = 1 to 4."""
    picture = PillowImage.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    resized = np.asarray(picture.resize((width, height), PillowImage.Resampling.LANCZOS))
    return resized.reshape(height, width, -1)


def _bislerp(planes: Tensor, width: int) -> Tensor:
    """Resize the last dimension of (B, C, h, w), interpolating channel vectors on the sphere (Shoemake 1985).

    Directions turn at constant speed and lengths are interpolated linearly, so latents keep their variance, which plain
    bilinear interpolation lowers between pixels. Both neighbours' places are interpolated and cut to whole numbers, as
    in the field, so that rounding picks the same ones.
    """
    old = planes.shape[-1]
    low = torch.arange(old, dtype=torch.float32, device=planes.device)
    low, high = (_spread(places, width) for places in (low, (low + 1).clamp(max=old - 1)))
    mixed = _slerp(planes[..., low.long()].float(), planes[..., high.long()].float(), low - low.floor())
    return mixed.to(planes.dtype)


def _spread(values: Tensor, width: int) -> Tensor:
    """A row of values (n,) stretched to (width,)."""
    return interpolate(values.view(1, 1, 1, -1), size=(1, width), mode="bilinear").view(-1)


def _slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation along dimension 1. Opposite vectors are mixed linearly; nearly parallel ones give `start`.

    Nothing is mixed between parallel vectors, not even their lengths: a slip of the field, kept.
    """
    start_length, end_length = (one.norm(dim=1, keepdim=True) for one in (start, end))
    start_unit, end_unit = (
        torch.where(length > 0, one / length, 0.0) for one, length in ((start, start_length), (end, end_length))
    )
    cosine = (start_unit * end_unit).sum(1, keepdim=True)
    angle = cosine.clamp(-1, 1).acos()
    direction = ((1 - share) * angle).sin() / angle.sin() * start_unit + (share * angle).sin() / angle.sin() * end_unit
    turned = direction * (start_length * (1 - share) + end_length * share)
    opposite = torch.where(cosine < 1e-5 - 1, start * (1 - share) + end * share, turned)
    return torch.where(cosine > 1 - 1e-5, start, opposite)
