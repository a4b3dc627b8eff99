"""Depth Anything 3 (Lin et al. 2025) for single pictures: DINOv2 and a head that fuses what it sees (Ranftl et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn import functional

from engine.models.networks.dino import Dino

if TYPE_CHECKING:
    from torch import Tensor


class DepthNetwork(nn.Module):
    """From planes (B, 3, H, W), normalised, of whole patches, to depth and sky, each (B, H, W).

    `eye`: arguments of `Dino`; `taken`: its layers that the head sees; `channels`: of each of them within the head; `fused`:
    of what they are fused to; `last`: of the last layer but one.
    """

    def __init__(
        self, *, eye: dict[str, Any], taken: Sequence[int], channels: Sequence[int], fused: int, last: int
    ) -> None:
        super().__init__()
        self.taken = tuple(taken)
        self.patch = int(eye["patch"])
        self.backbone = Dino(**eye, last_eps=1e-5)
        self.head = Head(int(eye["width"]), channels, fused, last)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Return depth, of which 0 is the camera, and how much of the sky there is, 0 for none."""
        height, width = planes.shape[2:]
        grid = (height // self.patch, width // self.patch)
        features = [tokens[:, 1:].mT.unflatten(2, grid) for tokens in self.backbone(planes, self.taken)]
        depth, sky = self.head(features, (height, width))
        return depth[:, 0].exp(), sky[:, 0].relu()


class Head(nn.Module):
    """Four features of one size, brought to four sizes and fused."""

    def __init__(self, width: int, channels: Sequence[int], fused: int, last: int) -> None:
        super().__init__()
        self.projects = nn.ModuleList([nn.Conv2d(width, one, 1) for one in channels])
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            ]
        )
        self.scratch = nn.Module()
        for number, one in enumerate(channels):
            self.scratch.add_module(f"layer{number + 1}_rn", nn.Conv2d(one, fused, 3, padding=1, bias=False))
            self.scratch.add_module(f"refinenet{number + 1}", Fusion(fused, two=number < 3))
        self.scratch.add_module("output_conv1", nn.Conv2d(fused, fused // 2, 3, padding=1))
        for name in ("output_conv2", "sky_output_conv2"):
            ends = [nn.Conv2d(fused // 2, last, 3, padding=1), nn.ReLU(), nn.Conv2d(last, 1, 1)]
            self.scratch.add_module(name, nn.Sequential(*ends))

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return what it makes of features (B, D, h, w), of the size in pixels, (B, 1, H, W) each."""
        part: Any = self.scratch._modules
        levels = [
            part[f"layer{number + 1}_rn"](resize(project(feature)))
            for number, (project, resize, feature) in enumerate(
                zip(self.projects, self.resize_layers, features, strict=True)
            )
        ]
        x = part["refinenet4"](levels[3], None, levels[2].shape[2:])
        x = part["refinenet3"](x, levels[2], levels[1].shape[2:])
        x = part["refinenet2"](x, levels[1], levels[0].shape[2:])
        x = part["refinenet1"](x, levels[0], [2 * side for side in levels[0].shape[2:]])
        x = _resized(part["output_conv1"](x), size)
        return part["output_conv2"](x), part["sky_output_conv2"](x)


class Fusion(nn.Module):
    """What comes from coarser levels, and a level added to it, brought to the next size."""

    def __init__(self, channels: int, *, two: bool) -> None:
        super().__init__()
        if two:
            self.resConfUnit1 = Residual(channels)
        self.resConfUnit2 = Residual(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, level: Tensor | None, size: Sequence[int]) -> Tensor:
        """Return features (B, C, *size)."""
        if level is not None:
            x = x + self.resConfUnit1(level)
        made: Tensor = self.out_conv(_resized(self.resConfUnit2(x), size))
        return made


class Residual(nn.Module):
    """Two convolutions, added to what they are given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same size."""
        made: Tensor = self.conv2(self.conv1(x.relu()).relu()) + x
        return made


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    return functional.interpolate(x, size=list(size), mode="bilinear", align_corners=True)
