"""Denoising only where a mask says so: around it the picture is held at the level that the sampler is at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.sampling.denoisers import Branches, Denoiser, Spread, branches, spread
from engine.sampling.noise_schedule import NoiseSchedule, add_noise

MaskAt = Callable[[float, Tensor], Tensor]
"""`(noise level, mask (B, 1, h, w) of the run)` -> the mask to use there."""


class MaskedDenoiser:
    """A denoiser that sees, and predicts, the kept latent where the mask is 0 (Lugmayr et al. 2022, eq. 8, on x and x_0).

    A mask between 0 and 1 mixes the two.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        schedule: NoiseSchedule,
        mask: Tensor,
        latent: Tensor,
        noise: Tensor,
        mask_at: MaskAt | None = None,
    ):
        """`mask` (B, 1, h, w); `latent` (B, C, h, w) in the network's space; `noise` what it is noised with.

        `mask_at` makes another mask of `mask` for each noise level.
        """
        self._denoiser, self._schedule = denoiser, schedule
        self._mask, self._latent, self._noise, self._mask_at = mask, latent, noise, mask_at

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Return x_0 (B, C, h, w): predicted inside the mask, the given latent outside."""
        mask = self._mask_now(sigma)
        return torch.lerp(self._latent, self._denoiser(self._held(x, sigma, mask), sigma), mask)

    def spread(self, x: Tensor, sigma: float) -> Spread:
        """Return x_0 so, with the variance that the network has learned."""
        mask = self._mask_now(sigma)
        found = spread(self._denoiser, self._held(x, sigma, mask), sigma)
        return Spread(torch.lerp(self._latent, found.prediction, mask), found.share)

    def branches(self, x: Tensor, sigma: float) -> Branches:
        """Return x_0 so, and the unconditional prediction as it is: only its slope counts, and x is held outside."""
        mask = self._mask_now(sigma)
        guided, unconditional = branches(self._denoiser, self._held(x, sigma, mask), sigma)
        return Branches(torch.lerp(self._latent, guided, mask), unconditional)

    def _mask_now(self, sigma: float) -> Tensor:
        return self._mask if self._mask_at is None else self._mask_at(sigma, self._mask)

    def _held(self, x: Tensor, sigma: float, mask: Tensor) -> Tensor:
        return torch.lerp(add_noise(self._schedule, self._latent, self._noise, sigma), x, mask)


def falling_threshold(schedule: NoiseSchedule, first: float, last: float, strength: float) -> MaskAt:
    """Return the mask for each noise level of a run from `first` to `last`: 1 from a threshold on that falls from 1 to 0, else 0.

    So each place is painted from the step that its mask says (Levin and Fried 2023). The threshold is the share of timesteps
    left; `strength` 0..1 mixes between the mask as it is and that. A run to 0 ends at the model's lowest level.
    """
    begin, end = (schedule.timestep(sigma) for sigma in (first, last if last > 0.0 else schedule.sigma_min))

    def mask_at(sigma: float, mask: Tensor) -> Tensor:
        threshold = (schedule.timestep(sigma) - end) / (begin - end) if begin != end else 0.0
        return torch.lerp(mask, (mask >= threshold).to(mask), strength)

    return mask_at


def restore(samples: Tensor, original: Tensor, mask: Tensor) -> Tensor:
    """Return the samples (B, C, h, w) with the original's very values where the mask (B, 1, h, w) is 0.

    Samplers of higher order extrapolate, and scaling rounds: both leave traces on what was to be kept.
    """
    return torch.where(mask == 0.0, original, samples)
