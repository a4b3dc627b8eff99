"""Where noise comes from: one generator per seed, on the CPU, so that a seed means the same picture on every device."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

NoiseSampler = Callable[[float, float], Tensor]
"""`(sigma, sigma_next) -> (B, C, h, w)` of unit variance: the noise for a step between the two levels."""

_SEEDS = 2**64


def initial_noise(latent: Tensor, seed: int, batch_index: Sequence[int] | None = None) -> Tensor:
    """Return unit noise of the latent's shape (B, C, h, w), float32, on the CPU: the field's stream for `seed`.

    Without `batch_index` it is one draw of the whole shape. With it (one number per picture) pictures are drawn one
    after the other and picture i of the batch gets draw batch_index[i], so that it can be made again alone.

    Raises ValueError when `batch_index` has another length than the batch.
    """
    generator = torch.Generator().manual_seed(seed % _SEEDS)
    if batch_index is None:
        return torch.randn(latent.shape, generator=generator)
    if len(batch_index) != latent.shape[0]:
        raise ValueError(
            f"batch_index: expected one number for each of {latent.shape[0]} latents, got {len(batch_index)}; "
            "remove it or give every latent its own"
        )
    wanted = set(batch_index)
    draws = {}
    for index in range(max(batch_index) + 1):
        draw = torch.randn(latent.shape[1:], generator=generator)
        if index in wanted:
            draws[index] = draw
    return torch.stack([draws[index] for index in batch_index])


def ancestral_noise(x: Tensor, seed: int) -> NoiseSampler:
    """Return a source of fresh unit noise of x's shape, (B, C, h, w), one draw a call.

    The stream is that of `seed + 1` on the CPU, the one that the field's samplers use there, so it does not repeat the
    initial noise.
    """
    generator = torch.Generator().manual_seed((seed + 1) % _SEEDS)

    def draw(sigma: float, sigma_next: float) -> Tensor:
        return torch.randn(x.shape, generator=generator).to(x)

    return draw


def brownian_noise(
    x: Tensor,
    sigma_min: float,
    sigma_max: float,
    seed: int,
    batch_index: Sequence[int] | None = None,
) -> NoiseSampler:
    """Return increments of one Brownian path per picture, scaled to unit variance, of x's shape (B, C, h, w).

    The path runs over sigma, so a run with more steps refines the same path instead of drawing another picture.
    Each picture has a path of its own, seeded by (seed, its batch index): a batch equals its members run alone.
    """
    indices = range(x.shape[0]) if batch_index is None else batch_index
    paths = [BrownianPath(x.shape[1:], sigma_min, sigma_max, (seed, index)) for index in indices]

    def draw(sigma: float, sigma_next: float) -> Tensor:
        # The path runs upwards in sigma; a step down is the same increment with its sign turned.
        low, high = min(sigma, sigma_next), max(sigma, sigma_next)
        scale = math.copysign(1.0 / math.sqrt(high - low), sigma_next - sigma)
        return torch.stack([path.increment(low, high) for path in paths]).mul_(scale).to(x)

    return draw


class BrownianPath:
    """A Brownian motion W over (0, end] from `start` > 0 that answers W(b) - W(a) for any times, in any order.

    Values are filled in by the Brownian bridge on a binary tree (Lévy's construction): given W at the ends of a cell,
    its inner point is normal around their interpolation. Cells are halved `depth` times in log time, since noise
    schedules are about even there; a time asked for is bridged within its last cell. Every draw is seeded by a hash of
    the entropy and the time it belongs to, so the path depends on `entropy` alone, not on the questions or their order,
    and increments add up since each is a difference of two values of W. Float64; holds about `depth` tensors.
    The stream is our own: it has the law of torchsde's BrownianTree, not its bits.
    """

    def __init__(self, shape: Sequence[int], start: float, end: float, entropy: tuple[int, int], depth: int = 12):
        """Prepare a path of tensors of `shape`; raises ValueError unless 0 < start < end."""
        if not 0.0 < start < end:
            raise ValueError(f"a Brownian path needs 0 < start < end, got {start} and {end}")
        self._shape = tuple(shape)
        self._start, self._end = start, end
        self._entropy, self._depth = entropy, depth
        last = self._normal(end) * math.sqrt(end - start)
        self._ends = {start: torch.zeros(self._shape, dtype=torch.float64), end: last}
        self._nodes = dict(self._ends)
        self._answers: dict[float, Tensor] = {}

    def increment(self, low: float, high: float) -> Tensor:
        """Return W(high) - W(low), float64; times outside start..end count as its ends."""
        low_value, high_value = self._at(low), self._at(high)
        self._answers = {low: low_value, high: high_value}
        return high_value - low_value

    def _at(self, time: float) -> Tensor:
        known = self._answers.get(time)
        return self._descend(min(max(time, self._start), self._end)) if known is None else known

    def _descend(self, time: float) -> Tensor:
        low, high = self._start, self._end
        path = dict(self._ends)
        for _ in range(self._depth):
            middle = math.sqrt(low * high)
            path[middle] = self._nodes[middle] if middle in self._nodes else self._bridge(path, low, middle, high)
            low, high = (low, middle) if time < middle else (middle, high)
        self._nodes = path  # the next question is likely a neighbour; anything else can be made again
        return path[time] if time in path else self._bridge(path, low, time, high)

    def _bridge(self, values: dict[float, Tensor], low: float, time: float, high: float) -> Tensor:
        spread = math.sqrt((time - low) * (high - time) / (high - low))
        mean = torch.lerp(values[low], values[high], (time - low) / (high - low))
        return mean.add_(self._normal(time), alpha=spread)

    def _normal(self, time: float) -> Tensor:
        digest = hashlib.blake2b(f"{self._entropy}/{time.hex()}".encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
        return torch.randn(self._shape, generator=generator, dtype=torch.float64)
