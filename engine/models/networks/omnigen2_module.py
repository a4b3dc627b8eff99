"""OmniGen2's network: Lumina 2's blocks over text, pictures to go by and the picture that is made, as one row of tokens.

The library has the blocks, and no network of this kind. Its parts have the published names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from diffusers.models.normalization import LuminaLayerNormContinuous
from diffusers.models.transformers.transformer_lumina2 import (
    Lumina2CombinedTimestepCaptionEmbedding,
    Lumina2TransformerBlock,
)
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

PATCH = 2
"""Latent pixels a side that are one token."""
_THETA = 10_000.0
_TIME_WIDTH = 1024
"""Of a time's embedding, in networks that are as wide or wider."""


class OmniGen2Transformer(nn.Module):
    """OmniGen2 (Wu et al. 2025) over latents (B, C, h, w) of even sides.

    `inner`: width of the feed-forward networks; `axes`: shares of a head that turn with the three numbers of a place;
    `references`: how many pictures it can tell apart.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        hidden_size: int,
        inner: int,
        num_layers: int,
        num_refiner_layers: int,
        num_attention_heads: int,
        num_kv_heads: int,
        axes: Sequence[int],
        text_feat_dim: int,
        references: int = 5,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.axes = tuple(axes)
        self.x_embedder = nn.Linear(PATCH**2 * in_channels, hidden_size)
        self.ref_image_patch_embedder = nn.Linear(PATCH**2 * in_channels, hidden_size)
        self.time_caption_embed = Lumina2CombinedTimestepCaptionEmbedding(
            hidden_size=hidden_size, cap_feat_dim=text_feat_dim, norm_eps=norm_eps
        )

        def blocks(number: int, *, timed: bool) -> nn.ModuleList:
            return nn.ModuleList(
                Lumina2TransformerBlock(
                    hidden_size,
                    num_attention_heads,
                    num_kv_heads,
                    multiple_of=inner,
                    ffn_dim_multiplier=inner / (4 * hidden_size),
                    norm_eps=norm_eps,
                    modulation=timed,
                )
                for _ in range(number)
            )

        self.noise_refiner = blocks(num_refiner_layers, timed=True)
        self.ref_image_refiner = blocks(num_refiner_layers, timed=True)
        self.context_refiner = blocks(num_refiner_layers, timed=False)
        self.layers = blocks(num_layers, timed=True)
        self.norm_out = LuminaLayerNormContinuous(
            embedding_dim=hidden_size,
            conditioning_embedding_dim=min(hidden_size, _TIME_WIDTH),
            elementwise_affine=False,
            eps=1e-6,
            bias=True,
            out_dim=PATCH**2 * out_channels,
        )
        self.image_index_embedding = nn.Parameter(torch.empty(references, hidden_size))

    def forward(
        self,
        latent: Tensor,
        time: Tensor,
        text: Tensor,
        mask: Tensor | None = None,
        references: Sequence[Tensor] = (),
    ) -> Tensor:
        """Return the velocity (B, C, h, w), from noise to picture.

        `latent` (B, C, h, w), `time` (B,) from 0 (noise) to 1000; `text` (B, T, D), of which `mask` (B, T) is 0 at padding;
        `references`: pictures to go by, (B, C, h', w') each.
        """
        where = self.places(text.shape[1], [one.shape[-2:] for one in references], latent.shape[-2:])
        written, *seen, made = (self._turns(place.to(latent.device)) for place in where)
        embedded, words = self.time_caption_embed(latent, time, text)
        for block in self.context_refiner:
            words = block(words, mask, written)
        pictures = [
            self._reference(one, number, turns, embedded)
            for number, (one, turns) in enumerate(zip(references, seen, strict=True))
        ]
        tokens = self.x_embedder(_patches(latent))
        for block in self.noise_refiner:
            tokens = block(tokens, None, made, embedded)
        row = torch.cat([words, *pictures, tokens], dim=1)
        turns = torch.cat([written, *seen, made], dim=1)
        shown = None if mask is None else nn.functional.pad(mask.bool(), (0, row.shape[1] - mask.shape[1]), value=True)
        for layer in self.layers:
            row = layer(row, shown, turns, embedded)
        return _unpatched(self.norm_out(row[:, -tokens.shape[1] :], embedded), latent)

    def _reference(self, picture: Tensor, number: int, turns: Tensor, embedded: Tensor) -> Tensor:
        """A picture's tokens, refined on their own."""
        tokens: Tensor = self.ref_image_patch_embedder(_patches(picture)) + self.image_index_embedding[number]
        for block in self.ref_image_refiner:
            tokens = block(tokens, None, turns, embedded)
        return tokens

    @staticmethod
    def places(words: int, references: Sequence[Sequence[int]], made: Sequence[int]) -> list[Tensor]:
        """Return three numbers for each token, (n, 3), of the text, of each picture to go by, and of the one that is made.

        A word's are its number, three times. A picture's first is the same for all of its tokens, as far behind what comes
        before as that has words, or tokens along its longer side; the others are row and column.
        """
        found = [torch.arange(words)[:, None].expand(-1, 3)]
        start = words
        for height, width in (*references, made):
            rows, columns = height // PATCH, width // PATCH
            grid = torch.empty(rows, columns, 3, dtype=torch.int64)
            grid[..., 0] = start
            grid[..., 1] = torch.arange(rows)[:, None]
            grid[..., 2] = torch.arange(columns)
            found.append(grid.flatten(0, 1))
            start += max(rows, columns)
        return found

    def _turns(self, places: Tensor) -> Tensor:
        """What queries and keys are turned by, complex numbers (1, n, half a head)."""
        angles = []
        for axis, size in enumerate(self.axes):
            speeds = 1.0 / _THETA ** (torch.arange(0, size, 2, dtype=torch.float64, device=places.device) / size)
            angles.append(places[:, axis, None] * speeds)
        whole = torch.cat(angles, dim=-1)
        return torch.polar(torch.ones_like(whole), whole).to(torch.complex64)[None]


def _patches(latent: Tensor) -> Tensor:
    """Tokens (B, n, 4 C) of a latent, each a patch's pixels row by row, all channels of one beside each other."""
    cut: Tensor = torch.unflatten(torch.unflatten(latent, 3, (-1, PATCH)), 2, (-1, PATCH))  # B, C, rows, y, columns, x
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def _unpatched(tokens: Tensor, latent: Tensor) -> Tensor:
    """The latent (B, C, h, w) of such tokens, of the size of `latent`."""
    rows, columns = (side // PATCH for side in latent.shape[-2:])
    cut: Tensor = torch.unflatten(
        torch.unflatten(tokens, 2, (PATCH, PATCH, -1)), 1, (rows, columns)
    )  # B, rows, columns, y, x, C
    return cut.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)
