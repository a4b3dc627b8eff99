"""What can be done to a latent, as a value: it is put on a latent, or on what guidance adds at every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from engine.sampling.guiders import PairHook, PairStep
from engine.sampling.masks import repeat_to

_NEAR_ZERO = 1e-10
_NEAR_NO_LENGTH = 1e-6

_DEVIATIONS = 5.0
"""How many standard deviations above the mean length the white point of tone mapping is."""

_DETAIL = 10.0
"""How often detail is added at a strength of 1, as in sharpening of pictures."""


@dataclass(frozen=True, eq=False)
class LatentOperation:
    """An operation on latents as data: its `kind`, its `numbers`, and the latent (b, C, …) that it goes by, if any."""

    kind: str
    numbers: tuple[float, ...] = ()
    reference: Tensor | None = None

    def __call__(self, latent: Tensor, **_: Any) -> Tensor:
        """Return a latent (B, C, h, w) or (B, C, T, h, w) changed; raises ValueError for one that it cannot be put on."""
        if self.reference is not None:
            return blended(latent, self.reference, *self.numbers)
        return _KINDS[self.kind](latent, *self.numbers)


def tone_mapped(latent: Tensor, multiplier: float) -> Tensor:
    """Shorten the vectors over channels by Reinhard's curve (Reinhard et al. 2002, eq. 3): l becomes l t / (l + t).

    t is `multiplier` times the mean length of each picture's vectors plus five of their standard deviations.
    """
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + _NEAR_ZERO
    axes = tuple(range(1, latent.dim()))
    spread = length.std(dim=axes, keepdim=True) if length[0].numel() > 1 else torch.zeros_like(length)
    top = (length.mean(dim=axes, keepdim=True) + _DEVIATIONS * spread) * multiplier
    shortened: Tensor = latent * (top / (length + top))
    return shortened


def sharpened(latent: Tensor, radius: float, sigma: float, alpha: float) -> Tensor:
    """Add 10 × `alpha` times what a blur takes away of the directions of the vectors over channels; their lengths stay.

    The blur is a Gaussian over 2 × `radius` + 1 pixels, `sigma` in units of the radius, mirrored at the edges. Frames are
    sharpened each by itself.
    """
    if latent.dim() == 5:
        frames = latent.movedim(2, 1)
        flat = sharpened(frames.flatten(0, 1), radius, sigma, alpha)
        return flat.reshape(frames.shape).movedim(1, 2)
    length: Tensor = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + _NEAR_NO_LENGTH
    directions = latent / length
    detail = directions - _blurred(directions, int(radius), sigma * radius)
    return (directions + _DETAIL * alpha * detail) * length


def _blurred(planes: Tensor, radius: int, sigma: float) -> Tensor:
    """Blur (B, C, h, w) with a Gaussian of `sigma` pixels, cut off at `radius`: rows, then columns."""
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    weights = torch.exp(-at.square() / (2.0 * sigma**2))
    weights = (weights / weights.sum()).to(planes)
    channels = planes.shape[1]
    for axis, shape in ((2, (-1, 1)), (3, (1, -1))):
        mirrored = planes.index_select(axis, _mirrored(planes.shape[axis], radius).to(planes.device))
        planes = conv2d(mirrored, weights.reshape(1, 1, *shape).expand(channels, 1, -1, -1), groups=channels)
    return planes


def _mirrored(size: int, radius: int) -> Tensor:
    """Places of `size` pixels with `radius` more on both sides, mirrored without repeating the edge, however small."""
    period = max(1, 2 * (size - 1))
    at = torch.arange(-radius, size + radius) % period
    return torch.minimum(at, period - at)


def blended(latent: Tensor, reference: Tensor, strength: float) -> Tensor:
    """Return latent + `strength` × (reference - latent), the reference brought to its sides by nearest pixels and repeated."""
    if strength == 0.0:
        return latent
    if reference.dim() != latent.dim() or reference.shape[1] != latent.shape[1]:
        raise ValueError(
            f"LatentOperationBlend: the latent to blend is {tuple(latent.shape)}, of {latent.shape[1]} channels; the reference "
            f"is {tuple(reference.shape)}. Use a reference of the same model: encode it with the model's VAE."
        )
    fitted = reference.to(latent)
    if fitted.shape[2:] != latent.shape[2:]:
        fitted = interpolate(fitted, size=latent.shape[2:], mode="nearest")
    return torch.lerp(latent, repeat_to(fitted, latent.shape[0]), strength)


_KINDS: dict[str, Callable[..., Tensor]] = {"tone_mapped": tone_mapped, "sharpened": sharpened}


def operated(operation: LatentOperation, start: float, end: float) -> PairHook:
    """Return a hook that puts an operation on what guidance adds, from the noise level `start` down to `end`.

    Where nothing is guided away from, it is put on the prediction itself.
    """

    def operate(step: PairStep) -> tuple[Tensor, Tensor | None]:
        if not end <= step.sigma <= start:
            return step.positive, step.negative
        if step.negative is None:
            return operation(latent=step.positive), None
        return operation(latent=step.positive - step.negative) + step.negative, step.negative

    return operate
