"""Guidance weighted by frequency (FreSca; Huang et al. 2025, "Scaling in Frequency Space Enhances Diffusion Models")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from engine.sampling.guiders import GuidanceStep, Hook


def weighted_by_frequency(x: Tensor, low: float, high: float, cutoff: int) -> Tensor:
    """Return (B, C, …) with the frequencies that are nearer than `cutoff` to 0 along every side times `low`, the rest `high`.

    A side of n has frequencies -n // 2 … (n - 1) // 2; those from -cutoff to cutoff - 1 count as near.
    """
    sides = tuple(range(2, x.ndim))
    near = torch.ones(x.shape[2:], dtype=torch.bool, device=x.device)
    for place, side in enumerate(x.shape[2:]):
        frequency = torch.fft.fftfreq(side, 1.0 / side, device=x.device).round()
        inside = (frequency >= -cutoff) & (frequency < cutoff)
        near &= inside.reshape([-1 if at == place else 1 for at in range(len(sides))])
    spectrum = torch.fft.fftn(x.float(), dim=sides)
    weights = torch.where(near, float(low), float(high))
    made: Tensor = torch.fft.ifftn(spectrum * weights, dim=sides).real
    return made.to(x)


def frequencies_of_guidance(low: float, high: float, cutoff: int) -> Hook:
    """Return a hook that weighs what guidance adds to the negative prediction; without a negative one it changes nothing."""

    def hook(step: GuidanceStep) -> Tensor:
        if step.negative is None:
            return step.denoised
        return step.negative + weighted_by_frequency(step.denoised - step.negative, low, high, cutoff)

    return hook
