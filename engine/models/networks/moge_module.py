"""MoGe-2 (Wang et al. 2025), which no library has: DINOv2, convolutions from coarse to fine, and such a stack for each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from engine.models.networks.dino import Dino

if TYPE_CHECKING:
    from torch import Tensor

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HEADS = ("points_head", "normal_head", "mask_head")


class MoGeNetwork(nn.Module):
    """From pictures (B, 3, H, W) in 0..1 to points, normals and a mask at their size, and a scale.

    `eye`: arguments of `Dino`; `taken`: its layers that are seen; `projected`: channels that each is brought to; `stacks`:
    arguments of `Stack` for `neck` and the heads that there are; `scale`: widths of the layers that give the scale, () without.
    """

    def __init__(
        self,
        *,
        eye: dict[str, Any],
        taken: Sequence[int],
        projected: int,
        stacks: Mapping[str, Any],
        scale: Sequence[int],
    ) -> None:
        super().__init__()
        self.taken = tuple(taken)
        self.patch = int(eye["patch"])
        self.encoder = nn.Module()
        self.encoder.backbone = Dino(**eye)
        self.encoder.output_projections = nn.ModuleList([nn.Conv2d(int(eye["width"]), projected, 1) for _ in taken])
        for name, told in stacks.items():
            self.add_module(name, Stack(**told))
        self.scale_head = _layers(scale) if scale else None

    def forward(self, pictures: Tensor, tokens: int) -> dict[str, Tensor]:
        """Return `points_head` (B, H, W, 3) before they are moved along z, `normal_head` (B, H, W, 3), `mask_head` (B, H, W) and
        `scale` (B,), as far as they are there.

        `tokens`: about how many patches are looked at.
        """
        height, width = pictures.shape[2:]
        aspect = width / height
        rows, columns = round((tokens / aspect) ** 0.5), round((tokens * aspect) ** 0.5)
        parts: Any = self._modules
        seen, whole = self._seen(pictures, rows, columns)
        levels = [
            _plane(rows << level, columns << level, aspect, seen).expand(len(seen), -1, -1, -1) for level in range(5)
        ]
        levels[0] = torch.cat([seen, levels[0]], dim=1)
        features = parts["neck"](levels)
        found = {}
        for name in HEADS:
            if name in parts:
                made = parts[name](features)[-1]
                larger = functional.interpolate(made, (height, width), mode="bilinear", align_corners=False)
                found[name] = larger.movedim(1, -1)
        if "points_head" in found:
            points = found["points_head"]
            along = points[..., 2:].exp()
            found["points_head"] = torch.cat([points[..., :2] * along, along], dim=-1)
        if "normal_head" in found:
            found["normal_head"] = functional.normalize(found["normal_head"], dim=-1)
        if "mask_head" in found:
            found["mask_head"] = found["mask_head"][..., 0].sigmoid()
        if self.scale_head is not None:
            found["scale"] = self.scale_head(whole)[:, 0].exp()
        return found

    def _seen(self, pictures: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Features (B, C, rows, columns), and one (B, D) of the picture as a whole."""
        size = (rows * self.patch, columns * self.patch)
        planes = functional.interpolate(pictures, size, mode="bilinear", align_corners=False, antialias=True)
        mean, deviation = (planes.new_tensor(one).reshape(1, 3, 1, 1) for one in (_MEAN, _DEVIATION))
        parts: Any = self.encoder._modules
        found = parts["backbone"]((planes - mean) / deviation, self.taken)
        spread = [tokens[:, 1:].mT.unflatten(2, (rows, columns)) for tokens in found]
        made = [project(one) for project, one in zip(parts["output_projections"], spread, strict=True)]
        return torch.stack(made, dim=1).sum(dim=1), found[-1][:, 0]


class Stack(nn.Module):
    """Convolutions from coarse to fine: every level is given something, and gives something.

    Of each level: `takes` and `gives`, channels, 0 where nothing is changed; `widths` within; `blocks` there; `grows`: how
    each but the last is brought to the next, "conv_transpose", "bilinear" or "pixel_shuffle". `inner`: how many times as wide
    blocks are within. `norms`: of blocks, before and within, "" for none.
    """

    def __init__(
        self,
        *,
        takes: Sequence[int],
        gives: Sequence[int],
        widths: Sequence[int],
        blocks: Sequence[int],
        grows: Sequence[str],
        inner: int,
        norms: Sequence[str],
    ) -> None:
        super().__init__()
        pairs = list(zip(widths, widths[1:], grows, strict=False))
        self.input_blocks = nn.ModuleList([_one(take, width) for take, width in zip(takes, widths, strict=True)])
        self.resamplers = nn.ModuleList([_larger(before, after, way) for before, after, way in pairs])
        self.res_blocks = nn.ModuleList(
            [
                nn.Sequential(*(Residual(width, inner, norms) for _ in range(count)))
                for width, count in zip(widths, blocks, strict=True)
            ]
        )
        self.output_blocks = nn.ModuleList([_one(width, give) for width, give in zip(widths, gives, strict=True)])

    def forward(self, given: Sequence[Tensor]) -> list[Tensor]:
        """Return what each level gives."""
        found: list[Tensor] = []
        x: Any = 0
        for level, block in enumerate(self.res_blocks):
            x = block(x + self.input_blocks[level](given[level]))
            found.append(self.output_blocks[level](x))
            if level < len(self.resamplers):
                x = self.resamplers[level](x)
        return found


class Residual(nn.Module):
    """Two convolutions, added to what they are given."""

    def __init__(self, width: int, inner: int, norms: Sequence[str]) -> None:
        super().__init__()
        before, within = norms
        self.layers = nn.Sequential(
            _norm(before, width), nn.ReLU(), _three(width, inner * width), _norm(within, inner * width), nn.ReLU(),
            _three(inner * width, width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same size."""
        made: Tensor = self.layers(x) + x
        return made


def _norm(kind: str, width: int) -> nn.Module:
    groups = {"": 0, "layer": 1, "group": width // 32}[kind]
    return nn.GroupNorm(groups, width) if groups else nn.Identity()


def _one(takes: int, gives: int) -> nn.Module:
    return nn.Conv2d(takes, gives, 1) if takes and gives else nn.Identity()


def _three(takes: int, gives: int) -> nn.Module:
    return nn.Conv2d(takes, gives, 3, padding=1, padding_mode="replicate")


def _larger(takes: int, gives: int, way: str) -> nn.Module:
    if way == "conv_transpose":
        return nn.Sequential(nn.ConvTranspose2d(takes, gives, 2, stride=2), _three(gives, gives))
    if way == "pixel_shuffle":
        return nn.Sequential(_three(takes, 4 * gives), nn.PixelShuffle(2), _three(gives, gives))
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), _three(takes, gives))


def _layers(widths: Sequence[int]) -> nn.Module:
    parts: list[nn.Module] = []
    for takes, gives in pairwise(widths):
        parts += [nn.Linear(takes, gives), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def _plane(rows: int, columns: int, aspect: float, like: Tensor) -> Tensor:
    return plane(rows, columns, aspect).movedim(-1, 0)[None].to(like)


def plane(rows: int, columns: int, aspect: float) -> Tensor:
    """Return places (rows, columns, 2) of pixels, to the right and down: a picture's corners are 1 away from its middle."""
    diagonal = (1 + aspect * aspect) ** 0.5
    across = torch.linspace(-(columns - 1) / columns, (columns - 1) / columns, columns) * (aspect / diagonal)
    down = torch.linspace(-(rows - 1) / rows, (rows - 1) / rows, rows) * (1 / diagonal)
    return torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)
