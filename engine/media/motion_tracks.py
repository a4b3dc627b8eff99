"""Paths of points through a video, which move what lies at their beginnings (ATI: Wang et al. 2025).

The arithmetic is that of github.com/bytedance/ATI (Apache 2.0).

A path is told by 121 places, 24 of them a second, of which a video of 16 pictures a second has 81.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

POINTS: Final = 121
"""Places of a path; what is missing is not seen, what goes beyond is left out."""
MOST: Final = 1024
"""Paths of one video."""


def parsed(text: str) -> Tensor:
    """Return paths (N, 121, 3), of which each place is x and y in pixels and 1, or zeros where a path has ended.

    `text` is JSON: a list of paths, each a list of objects with `x` and `y`; or one such path alone. Raises ValueError for
    another.
    """
    try:
        found = json.loads(text) if text.strip() else []
    except ValueError as problem:
        raise ValueError(f'tracks: this is not JSON: {problem}. Write [[{{"x": 10, "y": 20}}, …], …].') from problem
    if not isinstance(found, list):
        raise ValueError(f"tracks: expected a list of paths, got {type(found).__name__}.")
    paths = [found] if found and all(isinstance(one, dict) for one in found) else found
    if len(paths) > MOST:
        raise ValueError(f"tracks: {len(paths)} paths; {MOST} are the most. Leave some out.")
    whole = torch.zeros(len(paths), POINTS, 3)
    for number, path in enumerate(paths, start=1):
        if not isinstance(path, list) or not path:
            raise ValueError(f"tracks: path {number} is {json.dumps(path)[:80]}; expected a list of points.")
        for place, point in enumerate(path[:POINTS]):
            whole[number - 1, place] = torch.tensor([*_place(point, number, place), 1.0])
    return whole


def _place(point: Any, number: int, place: int) -> tuple[float, float]:
    values = [point.get(name) for name in ("x", "y")] if isinstance(point, dict) else []
    numbers = [float(one) for one in values if isinstance(one, int | float) and math.isfinite(one)]
    if len(numbers) != 2:
        raise ValueError(
            f"tracks: point {place + 1} of path {number} is {json.dumps(point)[:80]}; expected an object with numbers x and y."
        )
    return numbers[0], numbers[1]


def at_pictures(paths: Tensor, length: int) -> Tensor:
    """Return paths (N, 121, 3) at the pictures of a video, (N, length, 3); beyond the 81st a path is not seen."""
    times = [0, *(1 + (1 + 3 * step) // 2 for step in range(2 * (POINTS - 1) // 3))][:length]
    found = paths[:, times]
    return functional.pad(found, (0, 0, 0, length - len(times)))


def moved(
    video: Tensor, paths: Tensor, size: tuple[int, int], temperature: float, nearest: int
) -> tuple[Tensor, Tensor]:
    """Return how well each place of a latent video is known, (T, h, w), and the video (C, T, h, w) with what paths bring there.

    `video` (C, T, h, w) in the network's space, of which the first frame is known; `paths` (N, 1 + 4 (T - 1), 3) in pixels of a
    picture of `size` (width, height). A path brings what lies at its beginning to where it is, exp(-`temperature` d²) of it at
    the distance d, 2 of which are the picture's shorter side; of all paths the `nearest` count. A latent frame has a path at the
    mean of the places where it is seen.
    """
    frames, height, width = video.shape[1:]
    if frames == 1:
        return torch.ones(1, height, width), video
    short = min(size)
    places = (paths[..., :2] - torch.tensor(size) / 2) / short * 2
    seen = torch.unflatten(paths[:, 1:, 2:], 1, (frames - 1, -1))
    means = (torch.unflatten(places[:, 1:], 1, (frames - 1, -1)) * seen).sum(2) / (seen.sum(2) + 1e-5)
    there = seen.sum(2)[..., 0].clamp(0, 1)
    sides = torch.tensor([width / min(height, width), height / min(height, width)])
    begins = (places[:, 0] / sides).clamp(-1, 1)[None, None]
    features = functional.grid_sample(video[None, :, 0], begins, align_corners=False)[0, :, 0].T  # (N, C)
    x, y = (torch.linspace(-side, side, count) for side, count in zip(sides.tolist(), (width, height), strict=True))
    known, whole = [torch.ones(height, width)], [video[:, 0]]
    for number in range(frames - 1):
        across, down = ((axis[:, None] - means[:, number, place]) ** 2 for place, axis in enumerate((x, y)))
        weights = torch.exp(-(across[None] + down[:, None]) * temperature) * there[:, number]
        best, which = weights.topk(min(nearest, len(paths)), dim=-1)
        brought = (features[which] * best[..., None]).sum(2).movedim(-1, 0)
        known.append(best.sum(-1))
        whole.append(brought + video[:, number + 1] * (1 - known[-1].clamp(0, 1)))
    return torch.stack(known), torch.stack(whole, dim=1)
