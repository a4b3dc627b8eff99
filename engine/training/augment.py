"""Vary pictures, so that an autoencoder trained on few of them serves others."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def augment(planes: Tensor, random: torch.Generator) -> Tensor:
    """Vary uint8 RGBA pictures (B, 4, H, W): float32 RGB (B, 3, H, W) in -1..1.

    Half the batch is the plain picture on white, at most shifted by whole pixels; the other half is scaled (0.6 to 2),
    turned, mirrored, its channels mixed, and laid on a random flat colour or on a gradient, so that the autoencoder also
    serves other flat pictures.
    """
    batch = len(planes)
    picture = planes.float() / 255
    colour, alpha = picture[:, :3], picture[:, 3:]
    plain = torch.arange(batch) < batch // 2
    warped = functional.grid_sample(
        torch.cat((colour * alpha, alpha), 1),
        _warps(plain, picture.shape, random),
        padding_mode="zeros",
        align_corners=False,
    )
    colour, alpha = warped[:, :3], warped[:, 3:]
    mixed = torch.einsum("bij,bjhw->bihw", _colour_mixes(plain, random), colour)
    return ((mixed + _backgrounds(plain, picture.shape, random) * (1 - alpha)) * 2 - 1).clamp(-1, 1)


def _warps(plain: Tensor, shape: torch.Size, random: torch.Generator) -> Tensor:
    batch, height = shape[0], shape[2]
    zoom = torch.where(
        plain, 1.0, torch.exp(torch.empty(batch).uniform_(math.log(0.5), math.log(1.6), generator=random))
    )
    angle = torch.where(plain, 0.0, torch.empty(batch).uniform_(-0.5, 0.5, generator=random))
    flip = torch.where(plain | (torch.rand(batch, generator=random) < 0.5), 1.0, -1.0)
    whole = torch.randint(-2, 3, (batch, 2), generator=random) * (2 / height)
    free = torch.empty(batch, 2).uniform_(-0.3, 0.3, generator=random)
    shift = torch.where(plain[:, None], whole, free)
    cosine, sine = angle.cos() * zoom, angle.sin() * zoom
    rows = (torch.stack((cosine * flip, -sine, shift[:, 0]), 1), torch.stack((sine * flip, cosine, shift[:, 1]), 1))
    return functional.affine_grid(torch.stack(rows, 1), list(shape), align_corners=False)


def _colour_mixes(plain: Tensor, random: torch.Generator) -> Tensor:
    batch = len(plain)
    order = torch.rand(batch, 3, generator=random).argsort(1)
    permuted = torch.eye(3)[order]
    gain = torch.empty(batch, 1, 1).uniform_(0.6, 1.0, generator=random)
    keep = plain | (torch.rand(batch, generator=random) < 0.4)
    return torch.where(keep[:, None, None], torch.eye(3), permuted * gain)


def _backgrounds(plain: Tensor, shape: torch.Size, random: torch.Generator) -> Tensor:
    batch, _, height, width = shape
    first, second = torch.rand(2, batch, 3, 1, 1, generator=random)
    ramp = torch.linspace(0, 1, height)[:, None].expand(height, width)
    ramp = torch.where(torch.rand(batch, 1, 1, 1, generator=random) < 0.5, ramp, ramp.T)
    flat = torch.rand(batch, 1, 1, 1, generator=random) < 0.7
    coloured = torch.where(flat, first, first + (second - first) * ramp)
    white = plain | (torch.rand(batch, generator=random) < 0.3)
    return torch.where(white[:, None, None, None], 1.0, coloured)
