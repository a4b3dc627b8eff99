"""A detector at work: pictures in, boxes with what is in them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch

from engine.datatypes.coco import NAMES
from engine.models.networks.fitted import fitted

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import PerceptionHandle

SIDE: Final = 640
"""Pixels a side of what a detector sees."""


class Found(NamedTuple):
    """What is in one picture, the surest first: `boxes` (N, 4) of left, top, right and bottom in pixels, names and scores."""

    boxes: Tensor
    names: list[str]
    scores: list[float]


class Detector:
    """A detector on its device."""

    def __init__(self, module: nn.Module, handle: PerceptionHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module = module
        self.handle = handle
        self.device = device
        self.dtype = dtype

    def name_of(self, number: int) -> str:
        """What its config calls a kind of thing, else what COCO does; a number where neither knows it."""
        told = self.handle.config.get("id2label") or {}
        if (name := told.get(str(number), told.get(number))) and not str(name).startswith("LABEL_"):
            return str(name)
        kinds = int(self.handle.config.get("num_labels", len(NAMES)))
        return NAMES[number] if number < len(NAMES) == kinds else str(number)

    @torch.no_grad()
    def detect(self, pictures: Tensor, report: Callable[[int, int], None] = lambda done, total: None) -> list[Found]:
        """Return all that may be in each of the pictures (B, H, W, C) in 0..1, one after the other.

        `report` is told of every picture, of how many, and ends the work by raising.
        """
        found = []
        for number, picture in enumerate(pictures):
            found.append(self._one(picture[None]))
            report(number + 1, len(pictures))
        return found

    def _one(self, picture: Tensor) -> Found:
        height, width = picture.shape[1:3]
        seen: Any = self.module(pixel_values=self._pixels(picture).to(self.device, self.dtype))
        scores = seen.logits[0].float().sigmoid()
        kinds = scores.shape[-1]
        scores, places = scores.flatten().topk(len(scores))
        middle, size = seen.pred_boxes[0].float()[places // kinds].split(2, dim=-1)
        corners = torch.cat([middle - size / 2, middle + size / 2], dim=-1).cpu()
        return Found(
            corners * corners.new_tensor([width, height, width, height]),
            [self.name_of(number) for number in (places % kinds).tolist()],
            scores.tolist(),
        )

    def _pixels(self, picture: Tensor) -> Tensor:
        """A picture of SIDE pixels a side, in 0..1, as all of these are trained with."""
        return fitted(picture, (SIDE, SIDE))
