"""Noise on what a network is given beside the latent, which it is told the level of, so that it does not lean on it too much.

Conditioning augmentation, Ho et al. 2022 (Cascaded Diffusion Models), section 4.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

LEVELS: Final = 1000
_SEEDS: Final = 2**64
_BEFORE: Final = 10
"""The noise is that of a seed so far before the run's, as the field has it."""


def linear_in_root(start: float, end: float) -> Tensor:
    """Return abar of each level (1000,), for betas whose roots are evenly spaced (Rombach et al. 2022)."""
    betas = torch.linspace(math.sqrt(start), math.sqrt(end), LEVELS, dtype=torch.float64) ** 2
    return torch.cumprod(1.0 - betas, dim=0)


def cosine() -> Tensor:
    """Return abar of each level (1000,) (Nichol & Dhariwal 2021, eq. 17)."""
    steps = torch.linspace(0.0, 1.0, LEVELS + 1, dtype=torch.float64)
    abar = torch.cos((steps + 0.008) / 1.008 * math.pi / 2) ** 2
    return torch.cumprod(1.0 - (1.0 - abar[1:] / abar[:-1]).clamp(max=0.999), dim=0)


def noised(value: Tensor, level: int, abar: Tensor, seed: int) -> Tensor:
    """Return `value` (any shape) at a level 0..999 of `abar`: sqrt(abar) value + sqrt(1 - abar) noise.

    `seed`: of the run. The noise is drawn on the CPU, and goes where `value` is.
    """
    kept = float(abar[level])
    return value * math.sqrt(kept) + _drawn(value, seed) * math.sqrt(1.0 - kept)


def mixed(value: Tensor, share: float, seed: int) -> Tensor:
    """Return `value` (any shape) with so much noise, 0..1, in its place, as a flow has it; `seed` as for `noised`."""
    return torch.lerp(value, _drawn(value, seed), share) if share else value


def _drawn(value: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed((seed - _BEFORE) % _SEEDS)
    return torch.randn(value.shape, generator=generator).to(value)
