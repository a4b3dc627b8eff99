"""The blockwise control network of Qwen-Image (DiffSynth-Studio; ModelScope 2025): a small network after each layer.

After layer i the picture's tokens x get W2 gelu(W1 (rms(x) + rms(y))), where y is the control picture's latent, projected once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import nn

from engine.models.errors import ModelError
from engine.models.networks.control import LatentControl, sheet
from engine.models.networks.flux import packed
from engine.models.networks.qwen_image import QwenImageNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Company

_EPS = 1e-6


class _Block(nn.Module):
    """What is added after one layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.x_rms = nn.RMSNorm(width, eps=_EPS)
        self.y_rms = nn.RMSNorm(width, eps=_EPS)
        self.input_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return what is added to tokens x (B, T, D), for those of the control picture y (B, T, D)."""
        found: Tensor = self.output_proj(nn.functional.gelu(self.input_proj(self.x_rms(x) + self.y_rms(y))))
        return found


class BlockwiseControl(nn.Module):
    """The network; `channels`: numbers of a token of the control picture, 4 more than of the latent where it is `masked`."""

    def __init__(self, layers: int, width: int, channels: int, masked: bool) -> None:
        super().__init__()
        self.img_in = nn.Linear(channels, width)
        self.controlnet_blocks = nn.ModuleList([_Block(width) for _ in range(layers)])


class QwenImageBlocks(LatentControl):
    """How it is called; what it adds depends on what each layer gave."""

    steers: ClassVar[str] = "Qwen-Image"

    @property
    def masked(self) -> bool:
        """Whether it takes a mask."""
        return bool(self.handle.config["masked"])

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
        """Return {"between": [function]}: (layer, its tokens (B, T, D)) -> what is added to them, times `strength`.

        Raises ModelError when the denoiser is not Qwen-Image of this size, and where a VAE or a mask is missing.
        """
        beside = self.check(company, QwenImageNetwork)
        module, layers = cast("BlockwiseControl", self.module), cast("Any", beside.network.module).transformer_blocks
        if (
            len(layers) != len(module.controlnet_blocks)
            or self.handle.config["width"] != beside.network.module.inner_dim
        ):
            raise ModelError(
                f"{self.handle.source.path}: made for {len(module.controlnet_blocks)} layers of width "
                f"{self.handle.config['width']}, the model has {len(layers)} of {beside.network.module.inner_dim}. Use the model "
                "that it was trained for."
            )
        filled = sheet(x)
        y = module.img_in(packed(self.seen(hint, beside, filled, beside.network.handle.latent)))

        def added(layer: int, tokens: Tensor) -> Tensor:
            found: Tensor = module.controlnet_blocks[layer](tokens.to(self.device, self.dtype), y)
            return (found * strength).to(tokens)

        return {"between": [added]}
