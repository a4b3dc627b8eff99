"""Control-LLLite of U-Nets (kohya-ss 2023): beside a layer, a small network of its input and of the control picture there.

A layer f(x) becomes f(x + s · up(mid([c, down(x)]))), where c is the picture, made by a few convolutions of the size of x.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import nn

from engine.models.errors import ModelError
from engine.models.network import repeat_to
from engine.models.networks.control import LatentControl
from engine.models.networks.pushed import PUSHED, Pushed
from engine.models.networks.unet import UNet
from engine.models.sd_keys import renamer, unet_names

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import ControlNetHandle
    from engine.models.network import Company

PREFIX = "lllite_unet_"
"""Before the name of a layer, by the original layout, in which dots are underscores."""

_PIXELS = 8
"""A side of a pixel of the latent."""


class _Beside(nn.Module):
    """What is beside one layer: `convolutions` (made, seen, side) of the picture, the layer's `width`, and the `rank`.

    `spread`: the layer is a convolution, given (B, C, h, w); else (B, T, C).
    """

    def __init__(self, convolutions: Sequence[Sequence[int]], width: int, rank: int, *, spread: bool) -> None:
        super().__init__()
        found: list[nn.Module] = []
        for made, seen, side in convolutions:
            found += [nn.ReLU()] if found else []
            found.append(nn.Conv2d(seen, made, side, stride=side))
        self.conditioning1 = nn.Sequential(*found)
        shown = convolutions[-1][0]
        one = partial(nn.Conv2d, kernel_size=1) if spread else nn.Linear
        self.down = nn.Sequential(one(width, rank), nn.ReLU())
        self.mid = nn.Sequential(one(rank + shown, rank), nn.ReLU())
        self.up = nn.Sequential(one(rank, width))
        self.axis = 1 if spread else 2

    def forward(self, x: Tensor, shown: Tensor) -> Tensor:
        """Return what is added to x, of the picture (B, E, h, w)."""
        if self.axis == 2:
            shown = shown.flatten(2).transpose(1, 2)
        found: Tensor = self.up(self.mid(torch.cat([shown, self.down(x)], dim=self.axis)))
        return found


class Lllite(nn.Module):
    """The network: {name in the file: [convolutions, width, rank, whether the layer is a convolution]}."""

    def __init__(self, layers: Mapping[str, Sequence[Any]]) -> None:
        super().__init__()
        for name, (convolutions, width, rank, spread) in layers.items():
            self.add_module(name, _Beside(convolutions, width, rank, spread=spread))


class LlliteControl(LatentControl):
    """How it is called: what it adds depends on what each layer is given."""

    steers: ClassVar[str] = "Stable Diffusion XL"

    def __init__(self, module: nn.Module, handle: ControlNetHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        self._places: tuple[Any, dict[str, str]] | None = None
        self._shown: tuple[Tensor, tuple[int, int], dict[str, Tensor]] | None = None

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
        """Return {"pushed": [Pushed]}, times `strength`, for x (B, C, h, w) and `hint` (N, 3, H, W) in 0..1.

        Raises ModelError when the denoiser is not a U-Net with its layers.
        """
        beside = self.check(company, UNet)
        places = self._paths(beside.network)
        shown = self._seen_pictures(hint, (x.shape[-2], x.shape[-1]))
        return {
            PUSHED: [
                Pushed(path, partial(self._push, name, repeat_to(shown[name], len(x)), strength))
                for name, path in places.items()
            ]
        }

    def _push(self, name: str, shown: Tensor, strength: float, x: Tensor) -> Tensor:
        layer = cast("_Beside", self.module.get_submodule(name))
        size = shown.shape[-2:]
        if x.shape[0] != len(shown) or (x.shape[2:] != size if layer.axis == 1 else x.shape[1] != math.prod(size)):
            raise ModelError(
                f"{self.handle.source.path}: this {self.title} wants layers that see the whole picture, of {size[0]} x {size[1]} "
                f"places for {len(shown)} rows, got {tuple(x.shape)}. Leave out what gives layers another picture (HyperTile, "
                "TomePatchModel, PatchModelAddDownscale)."
            )
        found: Tensor = layer(x.to(self.device, self.dtype), shown)
        return (found * strength).to(x)

    def _seen_pictures(self, hint: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        """{layer: (N, E, h, w)} of the pictures, made once for a size of the latent; pictures are squeezed into it."""
        if self._shown is None or self._shown[0] is not hint or self._shown[1] != size:
            resized: dict[int, Tensor] = {}
            found = {}
            for name, layer in self.module.named_children():
                convolutions: Any = layer.conditioning1
                step = math.prod(one.stride[0] for one in convolutions if isinstance(one, nn.Conv2d))
                if step not in resized:
                    resized[step] = squeezed(hint, *(math.ceil(side * _PIXELS / step) * step for side in size))
                found[name] = convolutions((resized[step] * 2.0 - 1.0).to(self.device, self.dtype))
            self._shown = (hint, size, found)
        return self._shown[2]

    def _paths(self, network: UNet | Any) -> dict[str, str]:
        """{name in the file: path in the denoiser's module}; ModelError when one is not there, or is of another width."""
        if self._places is None or self._places[0] is not network.module:
            rename = renamer(unet_names(network.handle.config))
            there = {
                f"{PREFIX}{original.replace('.', '_')}": (
                    path,
                    getattr(layer, "in_features", None) or layer.in_channels,
                )
                for path, layer in network.module.named_modules()
                if isinstance(layer, nn.Linear | nn.Conv2d) and (original := rename(path))
            }
            wanted = {name: int(told[1]) for name, told in self.handle.config["layers"].items()}
            lacking = next((name for name, width in wanted.items() if there.get(name, ("", 0))[1] != width), None)
            if lacking is not None:
                got = f"one of width {there[lacking][1]}" if lacking in there else "none of that name"
                raise ModelError(
                    f"{self.handle.source.path}: this {self.title} is for {self.steers}, with a layer "
                    f"{lacking.removeprefix(PREFIX)} of width {wanted[lacking]}; {network.family.title} has {got}. Use a model "
                    "of the family and size that it was trained for."
                )
            self._places = (network.module, {name: there[name][0] for name in wanted})
        return self._places[1]


def squeezed(picture: Tensor, height: int, width: int) -> Tensor:
    """Return pictures (N, C, H, W) in 0..1 in another size, whole, by cubic interpolation."""
    if picture.shape[-2:] == (height, width):
        return picture
    return nn.functional.interpolate(picture, size=(height, width), mode="bicubic").clamp(0.0, 1.0)
