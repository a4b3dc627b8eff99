"""The first MoGe (Wang et al. 2024), which no library has: DINOv2, a few levels of convolutions, and one end for each answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from engine.models.networks.dino import Dino
from engine.models.networks.fitted import IMAGENET
from engine.models.networks.moge_module import Residual, plane

if TYPE_CHECKING:
    from torch import Tensor

_NORMS = ("layer", "group")


class FirstMoGeNetwork(nn.Module):
    """From pictures (B, 3, H, W) in 0..1 to points and a mask at their size.

    `eye`: arguments of `Dino`; `taken`: its layers that are seen; `projected`: channels that each is brought to; `grows`:
    channels of each level, twice as large as the one before; `blocks`: of every level; `last`: channels and blocks of an end,
    and the size of its last kernel; `inner`: how many times as wide blocks are within.
    """

    def __init__(
        self,
        *,
        eye: dict[str, Any],
        taken: Sequence[int],
        projected: int,
        grows: Sequence[int],
        blocks: int,
        last: Sequence[int],
        inner: int,
    ) -> None:
        super().__init__()
        self.taken = tuple(taken)
        self.patch = int(eye["patch"])
        self.backbone = Dino(**eye)
        self.head = nn.Module()
        self.head.projects = nn.ModuleList([nn.Conv2d(int(eye["width"]), projected, 1) for _ in taken])
        levels = []
        for before, width in zip([projected, *grows[:-1]], grows, strict=True):
            larger = nn.Sequential(nn.ConvTranspose2d(before + 2, width, 2, stride=2), _three(width, width))
            levels.append(nn.Sequential(larger, *(Residual(width, inner, _NORMS) for _ in range(blocks))))
        self.head.upsample_blocks = nn.ModuleList(levels)
        self.head.output_block = nn.ModuleList([_end(grows[-1] + 2, gives, last, inner) for gives in (3, 1)])

    def forward(self, pictures: Tensor, tokens: int) -> dict[str, Tensor]:
        """Return `points_head` (B, H, W, 3) before they are moved along z, and `mask_head` (B, H, W), above 0.5 where it is.

        `tokens`: about how many patches are looked at.
        """
        height, width = pictures.shape[2:]
        scale = (tokens * self.patch**2 / (height * width)) ** 0.5
        size = (max(self.patch, int(height * scale)), max(self.patch, int(width * scale)))
        planes = functional.interpolate(pictures, size, mode="bicubic", align_corners=False, antialias=True)
        mean, deviation = (planes.new_tensor(one).reshape(1, 3, 1, 1) for one in IMAGENET)
        grid = (size[0] // self.patch, size[1] // self.patch)
        whole = [side * self.patch for side in grid]
        seen = functional.interpolate(
            (planes - mean) / deviation, whole, mode="bilinear", align_corners=False, antialias=True
        )
        parts: Any = self.head._modules
        features = [one[:, 1:].mT.unflatten(2, grid) for one in self.backbone(seen, self.taken)]
        made = [project(one) for project, one in zip(parts["projects"], features, strict=True)]
        x, aspect = torch.stack(made, dim=1).sum(dim=1), size[1] / size[0]
        for level in parts["upsample_blocks"]:
            x = level(_placed(x, aspect))
        x = functional.interpolate(x, size, mode="bilinear", align_corners=False)
        ends = [end(_placed(x, aspect)) for end in parts["output_block"]]
        points, mask = (
            functional.interpolate(end, (height, width), mode="bilinear", align_corners=False) for end in ends
        )
        points = points.movedim(1, -1)
        along = points[..., 2:].exp()
        return {"points_head": torch.cat([points[..., :2] * along, along], dim=-1), "mask_head": mask[:, 0]}


def _placed(x: Tensor, aspect: float) -> Tensor:
    """Features with the places of their pixels as two channels more."""
    places = plane(x.shape[2], x.shape[3], aspect).movedim(-1, 0).to(x)
    return torch.cat([x, places.expand(len(x), -1, -1, -1)], dim=1)


def _three(takes: int, gives: int) -> nn.Module:
    return nn.Conv2d(takes, gives, 3, padding=1, padding_mode="replicate")


def _end(takes: int, gives: int, last: Sequence[int], inner: int) -> nn.Module:
    width, blocks, kernel = last
    return nn.Sequential(
        _three(takes, width),
        *(Residual(width, inner, _NORMS) for _ in range(blocks)),
        nn.ReLU(),
        nn.Conv2d(width, gives, kernel, padding=kernel // 2, padding_mode="replicate"),
    )
