"""Guidance away from what a network without some of its layers predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.sampling.denoisers import Network

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Skip:
    """A network with layers left out, which counts while the share of sampling done is within `start`..`end` (0..1).

    `scale`: how far guidance goes away from what it predicts for the positive conditioning. `rescale` 0..1: how far the
    result's spread is pulled back to that of the positive prediction.
    """

    network: Network
    start: float
    end: float
    scale: float = 0.0
    rescale: float = 0.0


def away_from(guided: Tensor, positive: Tensor, skipped: Tensor, scale: float, rescale: float) -> Tensor:
    """Return guided + scale * (positive - skipped), all (B, C, …): skip-layer guidance (Stability AI 2024).

    `rescale` mixes in the result times the share of the positive one's standard deviation in its own, over each picture.
    """
    made = guided + scale * (positive - skipped)
    if rescale == 0.0:
        return made
    axes = tuple(range(1, made.dim()))
    share = positive.std(dim=axes, keepdim=True) / made.std(dim=axes, keepdim=True).clamp(min=1e-8)
    return made * (rescale * share + (1.0 - rescale))
