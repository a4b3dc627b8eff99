"""Encode the data set once: the diffusion loop then never touches pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.training.lanes import spread


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 RGB (N, H, W, 3) to float32 (N, 3, H, W) in -1..1, the range the VAE works in."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def shifted(pixels: Tensor, copy: int, shift: int) -> Tensor:
    """Pictures (N, 3, H, W) moved by up to `shift` pixels, on white; copy 0 is in place, the others go through fixed moves."""
    moves = [(0, 0)]
    for radius in range(1, shift + 1):
        moves += [(radius, 0), (0, radius), (-radius, 0), (0, -radius), (radius, radius), (-radius, -radius)]
    moved = torch.roll(functional.pad(pixels, (shift,) * 4, value=1.0), moves[copy % len(moves)], (2, 3))
    return moved[..., shift : shift + pixels.shape[2], shift : shift + pixels.shape[3]]


def encode_shifted(vae: Any, pixels: Tensor, copies: int, shift: int, batch: int = 32) -> Tensor:
    """Encode pictures (N, 3, H, W) in -1..1 as `shifted` moves them, `copies` times: float16 (N, copies, C, h, w)."""
    rows = [spread(lambda part: _mean(vae, part), shifted(pixels, copy, shift), batch) for copy in range(copies)]
    return torch.stack(rows, 1)


def encode_doubled(vae: Any, pixels: Tensor, batch: int = 16) -> Tensor:
    """Encode pictures (N, 3, H, W) enlarged twice (bicubic): float16 (N, 1, C, 2h, 2w)."""

    def encode(part: Tensor) -> Tensor:
        large = functional.interpolate(part, scale_factor=2, mode="bicubic", antialias=True)
        return _mean(vae, large.clamp(-1, 1))

    return spread(encode, pixels, batch)[:, None]


def preview_factors(latents: Tensor, pixels: Tensor) -> tuple[list[list[float]], list[float]]:
    """Least-squares map from a latent pixel to its mean RGB in 0..1: C rows of 3 factors, and a bias of 3.

    `latents` is (N, C, h, w), `pixels` (N, 3, H, W) in -1..1.
    """
    _, channels, height, width = latents.shape
    colours = functional.adaptive_avg_pool2d(pixels, (height, width)) / 2 + 0.5
    inputs = latents.float().permute(0, 2, 3, 1).reshape(-1, channels)
    inputs = torch.cat((inputs, torch.ones(len(inputs), 1)), 1)
    solution = torch.linalg.lstsq(inputs, colours.permute(0, 2, 3, 1).reshape(-1, 3)).solution
    factors = [[round(float(value), 5) for value in row] for row in solution]
    return factors[:-1], factors[-1]


def _mean(vae: Any, pixels: Tensor) -> Tensor:
    latents: Tensor = vae.encode(pixels).latent_dist.mean
    return latents.half()
