"""Control-LLLite of Anima (kohya-ss 2026): beside a layer, a small network of its input and of the control picture there.

A layer f(x) becomes f(x + s · up(silu(mid([c, silu(down(x))]) · (1 + γ) + β))), where c is the picture's token plus a vector of
the layer's own, and γ, β are linear in c (feature-wise modulation, Perez et al. 2018).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import torch
from torch import nn
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.network import repeat_to
from engine.models.networks.anima import AnimaNetwork
from engine.models.networks.control import LatentControl
from engine.models.networks.lllite import squeezed
from engine.models.networks.pushed import PUSHED, Pushed

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import ControlNetHandle
    from engine.models.network import Company

_LAYER: Final = re.compile(r"lllite_dit_blocks_(\d+)_(\w+)")
_PATHS: Final = {
    "self_attn_q_proj": "attn1.to_q",
    "self_attn_k_proj": "attn1.to_k",
    "self_attn_v_proj": "attn1.to_v",
    "cross_attn_q_proj": "attn2.to_q",
    "mlp_layer1": "ff.net.0.proj",
}
"""The authors' layers by the library's names."""

_PATCH: Final = 2
_PIXELS: Final = 8
"""Latent pixels of a token, and pixels of those, a side."""


def _normed(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(next(groups for groups in (8, 4, 2, 1) if channels % groups == 0), channels)


def _convolution(seen: int, made: int, side: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(seen, made, side, padding=dilation * (side // 2), dilation=dilation)


def _step(seen: int, made: int, side: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(_convolution(seen, made, side, dilation), _normed(made), nn.SiLU())


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _normed(width), _convolution(width, width, 3)
        self.norm2, self.conv2 = _normed(width), _convolution(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.conv1(functional.silu(self.norm1(x)))
        found: Tensor = x + self.conv2(functional.silu(self.norm2(inner)))
        return found


class _Pyramid(nn.Module):
    """Convolutions with holes of several sizes beside one another, and the mean of the picture (Chen et al. 2017)."""

    def __init__(self, width: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [_step(width, width) if one == 1 else _step(width, width, 3, one) for one in dilations]
        )
        self.global_conv = _step(width, width)
        self.proj = _step(width * (len(dilations) + 1), width)

    def forward(self, x: Tensor) -> Tensor:
        everywhere = self.global_conv(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        found: Tensor = self.proj(torch.cat([*(branch(x) for branch in self.branches), everywhere], dim=1))
        return found


class _Picture(nn.Module):
    """What makes tokens (B, h w, E) of a picture (B, C, 16 h, 16 w)."""

    def __init__(self, channels: int, width: int, shown: int, residual: int, dilations: Sequence[int]) -> None:
        super().__init__()
        half = width // 2
        self.conv1, self.norm1 = nn.Conv2d(channels, half, 4, stride=4), _normed(half)
        self.conv2, self.norm2 = _convolution(half, half, 3), _normed(half)
        self.conv3, self.norm3 = nn.Conv2d(half, width, 4, stride=4), _normed(width)
        self.resblocks = nn.ModuleList([_Residual(width) for _ in range(residual)])
        self.aspp = _Pyramid(width, dilations) if dilations else None
        self.proj, self.out_norm = _convolution(width, shown), nn.LayerNorm(shown)

    def forward(self, x: Tensor) -> Tensor:
        for convolution, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2), (self.conv3, self.norm3)):
            x = functional.silu(norm(convolution(x)))
        for block in self.resblocks:
            x = block(x)
        if self.aspp is not None:
            x = self.aspp(x)
        found: Tensor = self.out_norm(self.proj(x).flatten(2).transpose(1, 2))
        return found


class _Beside(nn.Module):
    """What is beside one layer, whose input is `width` wide."""

    def __init__(self, width: int, rank: int, shown: int) -> None:
        super().__init__()
        self.down, self.mid, self.up = nn.Linear(width, rank), nn.Linear(rank + shown, rank), nn.Linear(rank, width)
        self.cond_to_film = nn.Linear(shown, 2 * rank)
        self.depth_embed = nn.Parameter(torch.zeros(shown))

    def forward(self, x: Tensor, shown: Tensor) -> Tensor:
        """Return what is added to x (B, T, D), of the picture's tokens (B, T, E)."""
        here = shown + self.depth_embed
        gain, bias = self.cond_to_film(here).chunk(2, dim=-1)
        inner = self.mid(torch.cat([here, functional.silu(self.down(x))], dim=-1))
        found: Tensor = self.up(functional.silu(inner * (1.0 + gain) + bias))
        return found


class AnimaLllite(nn.Module):
    """The network: `layers` {name in the file: width}; `width` of what sees the picture, `shown` of a token of it."""

    def __init__(
        self,
        layers: Mapping[str, int],
        rank: int,
        shown: int,
        width: int,
        channels: int,
        residual: int,
        dilations: Sequence[int],
        *,
        blacked: bool = False,
    ) -> None:
        super().__init__()
        self.lllite_conditioning1 = _Picture(channels, width, shown, residual, dilations)
        for name, wide in layers.items():
            self.add_module(name, _Beside(wide, rank, shown))


class AnimaLlliteControl(LatentControl):
    """How it is called: what it adds depends on what each layer is given."""

    steers: ClassVar[str] = "Anima"

    def __init__(self, module: nn.Module, handle: ControlNetHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        self._tokens: tuple[Tensor, Tensor | None, tuple[int, int], Tensor] | None = None

    @property
    def masked(self) -> bool:
        """Whether it takes a mask; without one nothing is to be made."""
        return int(self.handle.config["channels"]) == 4

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
        """Return {"pushed": [Pushed]}, times `strength`, for x (B, C, h, w) or (B, C, T, h, w).

        `hint` (N, 3, H, W) in 0..1; of a mask what is at least 0.5 is to be made. Each frame sees the same picture.

        Raises ModelError when the denoiser is not Anima of this size.
        """
        beside = self.check(company, AnimaNetwork)
        sizes = beside.network.handle.config["transformer"]
        wide, layers = sizes["num_attention_heads"] * sizes["attention_head_dim"], sizes["num_layers"]
        wanted = {name: self._place(name) for name in self.handle.config["layers"]}
        last, own = max(number for number, _ in wanted.values()), set(self.handle.config["layers"].values())
        if own != {wide} or last >= layers:
            raise ModelError(
                f"{self.handle.source.path}: made for a model of width {', '.join(map(str, sorted(own)))} with layers up to "
                f"{last}, the model has {layers} of width {wide}, counted from 0. Use the model that it was trained for."
            )
        frames = x.shape[2] if x.ndim == 5 else 1
        shown = self._shown(hint, beside.mask if self.masked else None, (x.shape[-2], x.shape[-1]))
        shown = repeat_to(shown, len(x)).repeat(1, frames, 1)
        return {
            PUSHED: [
                Pushed(f"transformer.transformer_blocks.{number}.{path}", partial(self._push, name, shown, strength))
                for name, (number, path) in wanted.items()
            ]
        }

    @staticmethod
    def _place(name: str) -> tuple[int, str]:
        match = _LAYER.fullmatch(name)
        assert match is not None  # as the kind has found it by such a pattern
        return int(match[1]), _PATHS[match[2]]

    def _push(self, name: str, shown: Tensor, strength: float, x: Tensor) -> Tensor:
        layer = cast("_Beside", self.module.get_submodule(name))
        found: Tensor = layer(x.to(self.device, self.dtype), shown)
        return (found * strength).to(x)

    def _shown(self, hint: Tensor, mask: Tensor | None, size: tuple[int, int]) -> Tensor:
        """The pictures' tokens (N, h w, E), made once for a size of the latent; pictures and masks are squeezed into it."""
        kept = self._tokens
        if kept is None or kept[0] is not hint or kept[1] is not mask or kept[2] != size:
            height, width = (-(-side // _PATCH) * _PATCH * _PIXELS for side in size)
            picture = squeezed(hint, height, width) * 2.0 - 1.0
            if self.masked:
                picture = self._with_mask(picture, mask)
            network = cast("AnimaLllite", self.module).lllite_conditioning1
            kept = self._tokens = (hint, mask, size, network(picture.to(self.device, self.dtype)))
        return kept[3]

    def _with_mask(self, picture: Tensor, mask: Tensor | None) -> Tensor:
        """(N, 3, H, W) in -1..1 with a channel more, 1 where it is to be made, else -1; 0 there where it was trained so."""
        if mask is None:
            made = torch.zeros_like(picture[:, :1])
        else:
            made = (functional.interpolate(mask.to(picture), size=picture.shape[-2:], mode="nearest") >= 0.5).to(
                picture
            )
            many = max(len(picture), len(made))
            picture, made = repeat_to(picture, many), repeat_to(made, many)
        if self.handle.config["blacked"]:
            picture = picture * (1.0 - made)
        return torch.cat([picture, made * 2.0 - 1.0], dim=1)
