"""How ControlNets of Stable Cascade are called: what they made of a picture is added before blocks of stage C, at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import torch
from torch import nn
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.network import repeat_to
from engine.models.networks.cascade import StageC
from engine.models.networks.control import LatentControl
from engine.models.networks.pushed import PUSHED, Pushed
from engine.models.stage_c_coder import efficient_net

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import ControlNetHandle
    from engine.models.network import Company

_SLOPE: Final = 0.2
_COLOURS: Final = 3
_WITH_MASK: Final = 4
"""Channels of what a network for inpainting sees."""

_BLOCK: Final = "SDCascadeResBlock"


class _Norm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        """Over the channels of (B, C, H, W)."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [_Norm(width), nn.GELU(), nn.Conv2d(width, width, 3, padding=1)]
        self.blocks = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.blocks(x)
        return found


class CascadeControlNet(nn.Module):
    """The network; `kind` and `sizes` of what sees `channels`, `places` of the blocks that it adds `width` channels before."""

    def __init__(
        self, places: Sequence[int], inner: int, width: int, kind: str, channels: int, sizes: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.backbone = _backbone(kind, channels, inner, sizes)
        self.projections = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv2d(inner, inner, 1, bias=False), nn.LeakyReLU(_SLOPE), nn.Conv2d(inner, width, 1, bias=False)
                )
                for _ in places
            ]
        )


def _backbone(kind: str, channels: int, inner: int, sizes: Mapping[str, Any]) -> nn.Sequential:
    first = sizes["first"]
    if kind == "efficient":
        found = efficient_net(first, sizes["stages"], sizes["last"])
        if channels != _COLOURS:  # its authors' have no border there
            found[0][0] = nn.Conv2d(channels, first, 3, stride=2, bias=False)  # type: ignore[operator]
        return found
    if kind == "simple":
        layers = [nn.Conv2d(channels, first, 3, padding=1), nn.Conv2d(first, inner, 3, padding=1)]
        return nn.Sequential(layers[0], nn.LeakyReLU(_SLOPE), layers[1])
    narrow = sizes["narrow"]
    blocks = [_Residual(narrow) for _ in range(sizes["residual"])]
    ends = nn.Conv2d(channels, first, 1), nn.Conv2d(first, narrow, 1), nn.Conv2d(narrow, inner, 1)
    return nn.Sequential(ends[0], nn.LeakyReLU(_SLOPE), ends[1], *blocks, ends[2])


class CascadeControl(LatentControl):
    """How it is called."""

    steers: ClassVar[str] = "Stable Cascade's stage C"

    def __init__(self, module: nn.Module, handle: ControlNetHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        self._made: tuple[Tensor, list[Tensor]] | None = None

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        hint: Tensor,
        strength: float = 1.0,
        options: Mapping[str, Any] | None = None,
        company: Company | None = None,
    ) -> dict[str, Any]:
        """Return {"pushed": [Pushed]}, times `strength`.

        `hint` (N, 3, H, W) in 0..1, of which a network for edges sees the mean; for super-resolution a latent (N, 16, h, w).

        Raises ModelError when the denoiser is not a stage C of this size, for a hint of other channels, and without a mask for a
        network that takes one.
        """
        beside = self.check(company, StageC)
        paths = self._paths(beside.network)
        if self._made is None or self._made[0] is not hint:
            module: Any = self.module
            seen = module.backbone(self._shown(hint, beside.mask).to(self.device, self.dtype))
            self._made = (hint, [one(seen) for one in module.projections])
        parts = [repeat_to(part, len(x)) * strength for part in self._made[1]]
        return {PUSHED: [Pushed(path, partial(_resized, part)) for path, part in zip(paths, parts, strict=True)]}

    def _shown(self, hint: Tensor, mask: Tensor | None) -> Tensor:
        wanted, got = int(self.handle.config["channels"]), hint.shape[1]
        if wanted == 1 and got == _COLOURS:
            return hint.mean(dim=1, keepdim=True)
        if wanted == _WITH_MASK and got == _COLOURS:
            if mask is None:
                raise ModelError(
                    f"{self.handle.source.path}: this {self.title} is for inpainting and was given no mask. Apply it with one "
                    "(ControlNetInpaintingAliMamaApply)."
                )
            made = (functional.interpolate(mask.to(hint), size=hint.shape[-2:]) > 0.5).to(hint)
            many = max(len(hint), len(made))
            hint, made = repeat_to(hint, many), repeat_to(made, many)
            return torch.cat([torch.where(made > 0.0, torch.ones_like(hint), hint), made], dim=1)
        if wanted != got:
            raise ModelError(
                f"{self.handle.source.path}: this {self.title} sees {wanted} channels, got {got}. For super-resolution give it "
                "what StableCascade_SuperResolutionControlnet makes of the picture."
            )
        return hint

    def _paths(self, network: Any) -> list[str]:
        """The blocks that it adds before; ModelError where the denoiser lacks one, or has another width."""
        blocks = [
            f"{half}.{level}.{number}"
            for half in ("down_blocks", "up_blocks")
            for level, layers in enumerate(getattr(network.module, half))
            for number, layer in enumerate(layers)
            if type(layer).__name__ == _BLOCK
        ]
        places, width = self.handle.config["places"], int(self.handle.config["width"])
        paths = [blocks[one] for one in places if one < len(blocks)]
        own = {network.module.get_submodule(path).depthwise.in_channels for path in paths}
        if len(paths) < len(places) or own != {width}:
            raise ModelError(
                f"{self.handle.source.path}: made for a stage C with blocks up to {max(places)} of width {width}, the model has "
                f"{len(blocks)}, counted from 0, of width {', '.join(map(str, sorted(own)))}. Use the larger stage C (3.6 B)."
            )
        return paths


def _resized(part: Tensor, x: Tensor) -> Tensor:
    return functional.interpolate(part, size=x.shape[-2:], mode="bilinear", align_corners=True).to(x)
