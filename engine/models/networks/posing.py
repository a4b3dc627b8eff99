"""A network that finds joints at work: pictures and boxes of people in, their joints out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import PerceptionHandle

Box = tuple[float, float, float, float]


class PoseEstimator:
    """A network that finds joints, on its device."""

    def __init__(self, module: nn.Module, handle: PerceptionHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module: Any = module
        self.handle, self.device, self.dtype = handle, device, dtype

    @torch.no_grad()
    def joints(
        self,
        pictures: Tensor,
        boxes: Sequence[Sequence[Box]],
        together: int,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[list[Tensor]]:
        """Return for each of the pictures (B, H, W, C) in 0..1 and each of its boxes the joints (K, 3): x, y in pixels, score.

        Boxes are left, top, right and bottom; `together` of a picture are looked at at once. `report` is told of every
        picture, of how many, and ends the work by raising.
        """
        found = []
        for number, (picture, some) in enumerate(zip(pictures, boxes, strict=True)):
            whole = (picture[..., :3].expand(-1, -1, 3).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
            parts = [some[first : first + together] for first in range(0, len(some), together)]
            found.append([joints for part in parts for joints in self._of(whole, part)])
            report(number + 1, len(pictures))
        return found

    def _of(self, picture: Any, boxes: Sequence[Box]) -> list[Tensor]:
        from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

        height, width = self.module.config.backbone_config.image_size
        processor: Any = VitPoseImageProcessorPil(size={"height": height, "width": width})
        sides = [np.array([[left, top, right - left, bottom - top] for left, top, right, bottom in boxes], np.float32)]
        pixels = processor(images=[picture], boxes=sides, return_tensors="pt")["pixel_values"]
        told = {}
        if getattr(self.module.config.backbone_config, "num_experts", 1) > 1:
            told["dataset_index"] = torch.zeros(len(boxes), dtype=torch.int64, device=self.device)  # COCO's people
        seen = self.module(pixel_values=pixels.to(self.device, self.dtype), **told)
        (people,) = processor.post_process_pose_estimation(seen, boxes=sides, threshold=-1.0)
        return [torch.cat([one["keypoints"], one["scores"][:, None]], dim=1).float() for one in people]
