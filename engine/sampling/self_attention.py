"""Self-attention guidance (Hong et al. 2023): away from what is predicted once the places that are looked at are blurred.

Of the prediction x_0 that guidance goes away from, the places to which self-attention in the middle of the network gives more
than their share are blurred; the noise that was in x is put on again, and predicted from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from engine.sampling.denoisers import Network

_KERNEL: Final = 9
_LEAST: Final = _KERNEL // 2
"""Sides that are no longer cannot be mirrored at their ends."""
_SHARE: Final = 1.0
"""A place of which all others together look at more than this is blurred."""


@dataclass(frozen=True, eq=False)
class SelfGuidance:
    """Guidance of `scale` with a blur of `blur_sigma` latent pixels.

    `network` predicts for what is blurred. `seen` tells what the last prediction for the conditioning looked at: (B, h, w), how
    much is given to each place in the middle of the network, in shares; None where there is nothing to go by.
    """

    network: Network
    seen: Callable[[], Tensor | None]
    scale: float
    blur_sigma: float

    def __call__(self, guided: Tensor, x: Tensor, base: Tensor, predict: Callable[[Tensor], Tensor]) -> Tensor:
        """Return `guided` further guided, all (B, C, h, w); `predict` x_0 for the conditioning that gave `base` at x."""
        seen = self.seen()
        if seen is None or len(seen) != len(x) or min(x.shape[-2:]) <= _LEAST:
            return guided
        degraded = blurred_where(base, seen, self.blur_sigma)
        return guided + self.scale * (degraded - predict(degraded + (x - base)))


def blurred_where(x: Tensor, seen: Tensor, sigma: float) -> Tensor:
    """Return x (B, C, h, w), blurred where `seen` (B, h', w'), enlarged by nearest places, is more than 1."""
    mask = functional.interpolate((seen[:, None] > _SHARE).to(x.dtype), size=x.shape[-2:])
    return blurred(x, sigma) * mask + x * (1.0 - mask)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Return x (B, C, h, w) under a Gaussian of `sigma` pixels, cut to 9 × 9, mirrored at the ends; x itself for 0."""
    if sigma == 0.0:
        return x
    places = torch.linspace(-_LEAST, _LEAST, _KERNEL, device=x.device)
    weights = torch.exp(-0.5 * (places / sigma) ** 2)
    weights = (weights / weights.sum()).to(x.dtype)
    channels = x.shape[1]
    kernel = torch.outer(weights, weights).expand(channels, 1, _KERNEL, _KERNEL)
    return functional.conv2d(functional.pad(x, (_LEAST,) * 4, mode="reflect"), kernel, groups=channels)
