"""DINOv2 (Oquab et al. 2024) as the eye of another network: the library's layers, with places for pictures of any proportions."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from transformers import Dinov2Config
from transformers.models.dinov2.modeling_dinov2 import Dinov2Layer

if TYPE_CHECKING:
    from torch import Tensor

_OFFSET = 0.1
"""Added to the number of patches when places are enlarged, as the network's authors do it; the library does without."""


class Dino(nn.Module):
    """From planes (B, 3, H, W), normalised, of whole patches, to tokens of some of its layers.

    `grid`: patches a side that it has places for; `last_eps`: of the norm that goes over what is taken.
    """

    def __init__(
        self,
        *,
        width: int,
        layers: int,
        heads: int,
        patch: int,
        grid: int,
        inner: int,
        gated: bool = False,
        last_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        config = Dinov2Config(
            hidden_size=width, num_attention_heads=heads, mlp_ratio=4 if gated else inner // width, use_swiglu_ffn=gated
        )
        config._attn_implementation = "sdpa"
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, grid * grid + 1, width))
        self.proj = nn.Conv2d(3, width, patch, stride=patch)
        self.layers = nn.ModuleList([Dinov2Layer(config) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, eps=last_eps)

    def forward(self, planes: Tensor, taken: Collection[int]) -> list[Tensor]:
        """Return tokens (B, 1 + N, D) of the layers `taken`, in their order, the first of each for the picture as a whole."""
        x = self.proj(planes)
        rows, columns = x.shape[2:]
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x.flatten(2).mT], dim=1) + self._places(rows, columns)
        found = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in taken:
                found.append(self.norm(x))
        return found

    def _places(self, rows: int, columns: int) -> Tensor:
        side = round((self.pos_embed.shape[1] - 1) ** 0.5)
        if rows == columns == side:
            return self.pos_embed
        places = self.pos_embed.float()
        spread = places[:, 1:].mT.reshape(1, -1, side, side)
        scale = ((rows + _OFFSET) / side, (columns + _OFFSET) / side)
        larger = functional.interpolate(spread, scale_factor=scale, mode="bicubic")
        return torch.cat([places[:, :1], larger.flatten(2).mT], dim=1).to(self.pos_embed.dtype)
