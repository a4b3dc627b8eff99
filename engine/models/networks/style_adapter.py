"""The style adapter of T2I-Adapter (Mou et al. 2023): what CLIP sees of a picture to a few tokens of text.

Tokens that were learned stand behind those of the picture, layers of CLIP's kind look at all of them, and the last are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class _Quick(nn.Module):
    """The quick form of GELU that CLIP has."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        for name, part in (
            ("c_fc", nn.Linear(width, 4 * width)),
            ("gelu", _Quick()),
            ("c_proj", nn.Linear(4 * width, width)),
        ):
            self.mlp.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        found: Tensor = x + self.mlp(self.ln_2(x))
        return found


class StyleAdapter(nn.Module):
    """The network: `tokens` of `text` numbers for a picture that was seen as tokens `width` wide."""

    def __init__(self, width: int, text: int, heads: int, layers: int, tokens: int) -> None:
        super().__init__()
        self.transformer_layes = nn.Sequential(*(_Layer(width, heads) for _ in range(layers)))
        self.style_embedding = nn.Parameter(torch.zeros(1, tokens, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, text))

    def forward(self, seen: Tensor) -> Any:
        """Return tokens (B, N, text) of what was seen (B, T, width)."""
        own = self.style_embedding.expand(len(seen), -1, -1)
        x = self.transformer_layes(self.ln_pre(torch.cat([seen, own], dim=1)))
        return self.ln_post(x[:, -own.shape[1] :]) @ self.proj
