"""The course of a loss as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

WIDTH, HEIGHT, MARGIN = 800, 480, 60
_INK, _LINE, _GRID = (40, 40, 40), (40, 90, 200), (220, 220, 220)


def drawn(losses: Sequence[float]) -> Tensor:
    """Return a chart (1, 480, 800, 3) of losses by step, with axes and the least and greatest value.

    Raises ValueError for no loss, or one that is no number.
    """
    from PIL import Image, ImageDraw

    if not losses or not all(math.isfinite(one) for one in losses):
        raise ValueError(
            f"loss: expected a list of numbers under `loss`, got {list(losses)[:4]}. Connect TrainLoraNode."
        )
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    least, most = min(losses), max(losses)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _place(share)
        pen.line([(MARGIN, y), (WIDTH - MARGIN, y)], fill=_GRID)
        pen.text((4, y - 6), f"{least + share * (most - least):.4g}", fill=_INK)
    pen.line([(MARGIN, MARGIN), (MARGIN, HEIGHT - MARGIN), (WIDTH - MARGIN, HEIGHT - MARGIN)], fill=_INK, width=2)
    pen.line(points(losses), fill=_LINE, width=2)
    pen.text((MARGIN, HEIGHT - MARGIN + 8), "1", fill=_INK)
    pen.text((WIDTH - MARGIN - 24, HEIGHT - MARGIN + 8), str(len(losses)), fill=_INK)
    pen.text((WIDTH // 2 - 12, HEIGHT - MARGIN + 24), "step", fill=_INK)
    pen.text((MARGIN, 16), f"loss: least {least:.6g}, greatest {most:.6g}", fill=_INK)
    return torch.from_numpy(np.asarray(picture, np.float32) / 255)[None]


def points(losses: Sequence[float]) -> list[tuple[float, float]]:
    """Return where each loss stands in the picture, in pixels; of very many, each of the thousands a mean of its neighbours."""
    kept = list(losses)
    if len(kept) > 4 * WIDTH:
        kept = [float(part.mean()) for part in np.array_split(np.asarray(kept), 4 * WIDTH)]
    least, most = min(losses), max(losses)
    across = (WIDTH - 2 * MARGIN) / max(len(kept) - 1, 1)
    found = [
        (MARGIN + number * across, _place((one - least) / ((most - least) or 1.0))) for number, one in enumerate(kept)
    ]
    return found if len(found) > 1 else found * 2


def _place(share: float) -> float:
    """How far down a share 0..1 of the range stands."""
    return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)
