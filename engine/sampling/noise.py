"""Where noise comes from: the field's streams, so that a seed means the picture that it means there.

Initial noise is drawn on the CPU. Noise on the way is drawn on the device of the run, or for SDE samplers as increments of
torchsde's Brownian tree, on the CPU unless the sampler's name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

NoiseSampler = Callable[[float, float], Tensor]
"""`(sigma, sigma_next) -> (B, C, h, w)` of unit variance: the noise for a step between the two levels."""

_SEEDS = 2**64


def initial_noise(latent: Tensor, seed: int, batch_index: Sequence[int] | None = None) -> Tensor:
    """Return unit noise of the latent's shape (B, C, h, w), float32, on the CPU: the field's stream for `seed`.

    Without `batch_index` it is one draw of the whole shape. With it (one number per picture) pictures are drawn one
    after the other and picture i of the batch gets draw batch_index[i], so that it can be made again alone.

    The generator of the CPU (a Mersenne twister) takes the low 32 bits of `seed` and no more. One draw of a batch is its
    pictures drawn one after the other only where C * h * w is a multiple of 16.

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

    The stream is that of `seed` on x's device. On the CPU its first draw is the initial noise once more: so it is there,
    and pictures are compared.
    """
    generator = torch.Generator(device=x.device).manual_seed(seed % _SEEDS)

    def draw(sigma: float, sigma_next: float) -> Tensor:
        return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)

    return draw


def brownian_noise(
    x: Tensor, sigma_min: float, sigma_max: float, seed: int | Sequence[int], *, device: torch.device | str = "cpu"
) -> NoiseSampler:
    """Return increments of a Brownian motion over sigma, scaled to unit variance, of x's shape (B, C, h, w).

    The motion is torchsde's `BrownianTree` with `seed` as its entropy, drawn on `device`: one for the whole batch, or one
    for each picture where there is a seed for each. It runs from `sigma_min` to `sigma_max`; levels outside count as these.
    Between the same two levels a run of more steps refines the path instead of taking another.

    Raises ValueError for a number of seeds that is not that of the pictures.
    """
    if not isinstance(seed, int) and len(seed) != x.shape[0]:
        raise ValueError(f"seeds: expected one for each of {x.shape[0]} pictures, got {len(seed)}")
    shape = x.shape if isinstance(seed, int) else x.shape[1:]
    start = torch.zeros(shape, dtype=x.dtype, device=device)
    trees = [_tree(start, sigma_min, sigma_max, one % _SEEDS) for one in ([seed] if isinstance(seed, int) else seed)]
    # The tree rounds its ends so, and warns of times beyond them.
    low_end, high_end = round(sigma_min, _DIGITS), round(sigma_max, _DIGITS)

    def draw(sigma: float, sigma_next: float) -> Tensor:
        low, high = (min(max(level, low_end), high_end) for level in sorted((sigma, sigma_next)))
        increments = [tree(low, high) for tree in trees]
        increment = increments[0] if isinstance(seed, int) else torch.stack(increments)
        length = torch.tensor(sigma_next) - torch.tensor(sigma)  # in float32, as the field takes it
        if length == 0.0:
            return torch.zeros_like(x)
        # The motion goes upwards in sigma: a step down has it backwards, with its sign turned.
        return (increment / length.abs().sqrt() * length.sign()).to(x)

    return draw


_DIGITS = 6
"""Decimals of the times that torchsde tells apart at its default tolerance."""


def _tree(start: Tensor, low: float, high: float, entropy: int) -> Any:
    import torchsde

    tree = torchsde.BrownianTree(t0=low, w0=start, t1=high, entropy=entropy)
    tree._interval._increment_and_space_time_levy_area_cache = _Increments(start)
    return tree


class _Increments(dict[Any, Any]):
    """Increments over cells of a tree, those used last: in place of torchsde's own store, which has the same values.

    A cell's two halves share one draw, so the right one costs a subtraction where the left one is made; torchsde would draw
    anew. It keeps a path to each of the last questions' ends, more where tensors are small.
    """

    _LEAST, _MOST, _BYTES = 64, 1024, 2**26

    def __init__(self, like: Tensor) -> None:
        self._room = min(max(self._BYTES // max(like.nbytes, 1), self._LEAST), self._MOST)

    def __getitem__(self, cell: Any) -> Any:
        value = super().pop(cell)  # raises KeyError, which torchsde waits for
        super().__setitem__(cell, value)
        return value

    def __setitem__(self, cell: Any, value: Any) -> None:
        super().__setitem__(cell, value)
        if cell._is_left:
            parent = cell._parent
            whole = parent._w_h if parent is parent._top else self.get(parent)
            if whole is not None:
                super().__setitem__(parent._right_child, (whole[0] - value[0], None))
        while len(self) > self._room:
            del self[next(iter(self))]
