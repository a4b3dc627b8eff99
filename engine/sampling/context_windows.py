"""Windows over a long row of frames, which windows a step has, and how what they give is put together.

Uniform windows after AnimateDiff's tools for long animations: at each step they begin elsewhere, so that no seam stays in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import torch
from torch import Tensor

Window: TypeAlias = tuple[int, ...]
"""Places in the row, in order."""

_LEAST: Final = 1e-2
_NONE: Final = 1e-6


def static(frames: int, length: int, overlap: int) -> list[Window]:
    """Return windows of `length`, each beginning `length - overlap` after the one before; the last one ends with the row."""
    starts = [*range(0, frames - length, length - overlap), frames - length]
    return [tuple(range(start, start + length)) for start in starts]


def batched(frames: int, length: int) -> list[Window]:
    """Return windows of `length` side by side; the last one may be shorter."""
    return [tuple(range(start, min(start + length, frames))) for start in range(0, frames, length)]


def looped(frames: int, length: int, overlap: int, stride: int, step: int, *, closed: bool) -> list[Window]:
    """Return the windows of a step, in a row whose end is followed by its beginning.

    `stride`: how many kinds of windows there are: of neighbours, of every second frame, of every fourth, and so on. Where the
    first begins changes with `step` by halves, quarters, eighths of the row. Not `closed`: as many windows less as would lie over
    the end alone.
    """
    stride = min(stride, math.ceil(math.log2(frames / length)) + 1)
    found: list[Window] = []
    for apart in (2**n for n in range(stride)):
        first = int(_halved(step) * apart) + round(frames * _halved(step))
        last = frames + round(frames * _halved(step)) - (0 if closed else overlap)
        for start in range(first, last, max(1, length * apart - overlap)):
            found.append(tuple(place % frames for place in range(start, start + length * apart, apart)))
    return found


def uniform(frames: int, length: int, overlap: int, stride: int, step: int) -> list[Window]:
    """Return the windows of a step as `looped` has them, those over the end of the row moved back to end with it; each once."""
    found = looped(frames, length, overlap, stride, step, closed=False)
    within = dict.fromkeys(_moved(window, frames) for window in found)
    missing = sorted(set(range(frames)).difference(*within))
    for place in missing:
        if not any(place in window for window in within):
            start = min(place, frames - length)
            within[tuple(range(start, start + length))] = None
    return sorted(within)


def _moved(window: Window, frames: int) -> Window:
    if list(window) == sorted(window):
        return window
    apart = (window[1] - window[0]) % frames
    reach = (len(window) - 1) * apart
    if reach >= frames:  # a strided window longer than the row
        return tuple(sorted(set(window)))
    return tuple(range(frames - 1 - reach, frames, apart))


def _halved(step: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8, 5/8, …: the binary digits of `step` after the point, the other way round (van der Corput)."""
    value, part = 0.0, 0.5
    while step:
        value += part * (step & 1)
        step >>= 1
        part /= 2
    return value


SCHEDULES: Final[dict[str, Callable[[int, int, int, int, bool, int], list[Window]]]] = {
    "standard_static": lambda frames, length, overlap, stride, closed, step: static(frames, length, overlap),
    "standard_uniform": lambda frames, length, overlap, stride, closed, step: uniform(
        frames, length, overlap, stride, step
    ),
    "looped_uniform": lambda frames, length, overlap, stride, closed, step: looped(
        frames, length, overlap, stride, step, closed=closed
    ),
    "batched": lambda frames, length, overlap, stride, closed, step: batched(frames, length),
}
"""The field's names → windows of (frames, length, overlap, stride, whether the row is a loop, step); for frames > length."""


def weights(method: str, window: Window, frames: int, overlap: int) -> Tensor:
    """Return how much each frame of a window counts, (len(window),), all above 0: see `FUSING`."""
    return FUSING[method](window, frames, overlap)


def _pyramid(window: Window, frames: int, overlap: int) -> Tensor:
    count = len(window)
    return torch.tensor([float(min(n, count - 1 - n) + 1) for n in range(count)])


def _relative(window: Window, frames: int, overlap: int) -> Tensor:
    apart = (window[1] - window[0]) % frames if len(window) > 1 else 1  # of a window over the end of the row too
    reach = apart * (len(window) - 1)
    half = (reach + _LEAST) / 2
    return torch.tensor([max(_LEAST, 1.0 - abs(apart * n - reach / 2) / half) for n in range(len(window))])


def _flat(window: Window, frames: int, overlap: int) -> Tensor:
    return torch.ones(len(window))


def _linear(window: Window, frames: int, overlap: int) -> Tensor:
    """Up over the overlap at the beginning, where that is not the row's, and down at the end."""
    found, overlap = torch.ones(len(window)), min(overlap, len(window))
    ramp = torch.linspace(_NONE, 1.0, overlap) if overlap > 1 else torch.ones(overlap)
    if window[0] > 0:
        found[:overlap] = ramp
    if window[-1] < frames - 1:
        found[len(window) - overlap :] = torch.minimum(found[len(window) - overlap :], ramp.flip(0))
    return found


FUSING: Final[dict[str, Callable[[Window, int, int], Tensor]]] = {
    "pyramid": _pyramid,
    "relative": _relative,
    "flat": _flat,
    "overlap-linear": _linear,
}
"""The field's names → weights: 1, 2, 3, … to the middle; falling from 1 in the middle; the same; ramps where windows overlap."""


def free_noise(noise: Tensor, dim: int, length: int, overlap: int, seed: int) -> Tensor:
    """Return noise of which all after the first `length` frames along `dim` is that of earlier ones, shuffled.

    FreeNoise (Qiu et al. 2023): every window then sees the noise of the first, in another order. `noise` is left as it is.
    """
    made, frames, step = noise.clone(), noise.shape[dim], length - overlap
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, frames - length, step):
        count = min(step, frames - length - start)
        order = torch.randperm(count, generator=generator) + start
        places = torch.arange(start + length, start + length + count, device=noise.device)
        made.index_copy_(dim, places, made.index_select(dim, order.to(noise.device)))
    return made


def region(window: Sequence[int], frames: int, regions: int) -> int:
    """Return in which of so many equal parts of the row the middle of a window is."""
    return min(regions - 1, int((min(window) + max(window)) / (2 * frames) * regions))
