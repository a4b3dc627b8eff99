"""Chroma Radiance's network: Chroma's blocks over patches of a picture, and for each patch a small network on its pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers.models.transformers.transformer_chroma import (
    ChromaApproximator,
    ChromaCombinedTimestepTextProjEmbeddings,
    ChromaSingleTransformerBlock,
    ChromaTransformerBlock,
)
from diffusers.models.transformers.transformer_flux import FluxPosEmbed
from torch import nn
from torch.nn import functional

from engine.models.networks.turns import Turns

if TYPE_CHECKING:
    from torch import Tensor

COLOURS = 3
PATCH = 16
"""Pixels a side of a patch as the blocks see it; of every second pixel where patches are twice as large."""


class RadianceTransformer(nn.Module):
    """Chroma Radiance (Lodestone Rock 2025): pictures (B, 3, H, W) in -1..1, without an autoencoder.

    `pixel_width` and `pixel_ratio`: of the networks on pixels, `frequencies` (per axis) of their places; `coarse`: patches
    of 32 pixels a side; `predicts_pictures`: the picture itself, else the velocity.
    """

    _keep_in_fp32_modules: ClassVar[list[str]] = ["nerf_image_embedder"]

    def __init__(
        self,
        *,
        num_layers: int,
        num_single_layers: int,
        attention_head_dim: int,
        num_attention_heads: int,
        joint_attention_dim: int,
        axes_dims_rope: Sequence[int],
        approximator_num_channels: int,
        approximator_hidden_dim: int,
        approximator_layers: int,
        pixel_layers: int,
        pixel_width: int,
        pixel_ratio: int,
        frequencies: int,
        coarse: bool = False,
        predicts_pictures: bool = False,
    ) -> None:
        super().__init__()
        width = attention_head_dim * num_attention_heads
        block: dict[str, int] = {
            "dim": width, "num_attention_heads": num_attention_heads, "attention_head_dim": attention_head_dim,
        }  # fmt: skip
        self.coarse, self.predicts_pictures = coarse, predicts_pictures
        self.pos_embed = FluxPosEmbed(theta=10_000, axes_dim=list(axes_dims_rope))
        self.time_text_embed = ChromaCombinedTimestepTextProjEmbeddings(
            num_channels=approximator_num_channels // 4, out_dim=3 * num_single_layers + 12 * num_layers + 2
        )
        self.distilled_guidance_layer = ChromaApproximator(
            approximator_num_channels, width, approximator_hidden_dim, approximator_layers
        )
        self.img_in_patch = nn.Conv2d(COLOURS, width, PATCH, stride=PATCH)
        self.context_embedder = nn.Linear(joint_attention_dim, width)
        self.transformer_blocks = nn.ModuleList([ChromaTransformerBlock(**block) for _ in range(num_layers)])
        self.single_transformer_blocks = nn.ModuleList(
            [ChromaSingleTransformerBlock(**block) for _ in range(num_single_layers)]
        )
        self.nerf_image_embedder = PixelEmbedding(pixel_width, frequencies)
        self.nerf_blocks = nn.ModuleList([PixelBlock(width, pixel_width, pixel_ratio) for _ in range(pixel_layers)])
        self.nerf_final_layer_conv = PixelOutput(pixel_width)

    @property
    def patch(self) -> int:
        """Pixels a side of a patch."""
        return PATCH * 2 if self.coarse else PATCH

    def forward(self, pictures: Tensor, context: Tensor, timestep: Tensor, tile: int = 0) -> Tensor:
        """Return what it predicts (B, 3, H, W) of pictures whose sides are whole patches.

        `context` (B, T, D); `timestep` (B,) in 0..1. `tile`: patches whose networks are worked out at once, 0 for all.
        """
        height, width = pictures.shape[-2:]
        patches = self._patches(pictures, context, timestep).flatten(0, 1)
        pixels = functional.unfold(pictures, self.patch, stride=self.patch).mT.flatten(0, 1)
        pixels = pixels.reshape(len(pixels), COLOURS, -1).mT
        count = tile or len(pixels)
        parts = [
            self._painted(*pair) for pair in zip(torch.split(pixels, count), torch.split(patches, count), strict=True)
        ]
        columns = torch.cat(parts).mT.reshape(len(pictures), -1, parts[0].shape[1] * parts[0].shape[2]).mT
        pictured: Tensor = self.nerf_final_layer_conv.conv(
            functional.fold(columns, (height, width), self.patch, stride=self.patch)
        )
        return pictured

    def _patches(self, pictures: Tensor, context: Tensor, timestep: Tensor) -> Tensor:
        """What the blocks make of each patch, (B, N, D)."""
        seen = pictures[..., ::2, ::2] if self.coarse else pictures
        hidden = self.img_in_patch(seen)
        rows, columns = hidden.shape[-2:]
        hidden, text = hidden.flatten(2).mT, self.context_embedder(context)
        places = torch.zeros(text.shape[1] + rows * columns, 3)
        places[text.shape[1] :, 1:] = _grid(rows, columns)
        with Turns.of(self).at(places, device=hidden.device) as there:
            angles = self.pos_embed(*there)
        modulations = self.distilled_guidance_layer(self.time_text_embed((timestep * 1000).to(hidden.dtype)))
        singles, doubles = len(self.single_transformer_blocks), len(self.transformer_blocks)
        for number, block in enumerate(self.transformer_blocks):
            first = 3 * singles + 6 * number
            own, of_text = modulations[:, first : first + 6], modulations[:, first + 6 * doubles :][:, :6]
            text, hidden = block(hidden, text, torch.cat([own, of_text], dim=1), angles)
        joined = torch.cat([text, hidden], dim=1)
        for number, block in enumerate(self.single_transformer_blocks):
            joined = block(joined, modulations[:, 3 * number : 3 * number + 3], angles)
        return joined[:, text.shape[1] :]

    def _painted(self, pixels: Tensor, patches: Tensor) -> Tensor:
        """Pixels (n, P, 3) of patches (n, D), gone through the network of each, (n, P, width)."""
        x = self.nerf_image_embedder(pixels).to(patches.dtype)
        for block in self.nerf_blocks:
            x = block(x, patches)
        painted: Tensor = self.nerf_final_layer_conv.norm(x)
        return painted


class PixelEmbedding(nn.Module):
    """Pixels with cosines of their places in the patch."""

    def __init__(self, width: int, frequencies: int) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.embedder = nn.Sequential(nn.Linear(COLOURS + frequencies**2, width))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (n, P, width) of pixels (n, P, 3), row by row; in float32."""
        places = cosines(math.isqrt(pixels.shape[1]), self.frequencies).to(pixels.device)
        embedded: Tensor = self.embedder(torch.cat([pixels.float(), places.expand(len(pixels), -1, -1)], dim=-1))
        return embedded


class PixelBlock(nn.Module):
    """A gated layer on pixels, whose three matrices are made for each patch of what the blocks say of it."""

    def __init__(self, patch_width: int, width: int, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.param_generator = nn.Linear(patch_width, 3 * width**2 * ratio)
        self.norm = nn.RMSNorm(width, eps=1e-6)

    def forward(self, x: Tensor, patches: Tensor) -> Tensor:
        """Return pixels (n, P, width) after the layer of each of patches (n, D)."""
        width = x.shape[-1]
        gate, value, out = self.param_generator(patches).chunk(3, dim=-1)
        gate, value = (_columns(one.reshape(-1, width, width * self.ratio)) for one in (gate, value))
        out = _columns(out.reshape(-1, width * self.ratio, width))
        normed = self.norm(x)
        gated: Tensor = functional.silu(normed @ gate) * (normed @ value)
        return x + gated @ out


class PixelOutput(nn.Module):
    """From pixels back to colours: a norm in each patch, and a convolution over the whole picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.conv = nn.Conv2d(width, COLOURS, 3, padding=1)


def cosines(side: int, frequencies: int) -> Tensor:
    """Return (side², frequencies²): of each pixel, products of cosines along x and y, high ones together weighing less."""
    places, waves = torch.linspace(0, 1, side), torch.arange(frequencies, dtype=torch.float32)
    along = torch.cos(math.pi * places[:, None] * waves)
    weights = 1 / (1 + waves[:, None] * waves)
    both: Tensor = torch.einsum("xi,yj,ij->yxij", along, along, weights)
    return both.reshape(side**2, frequencies**2)


def _columns(matrices: Tensor) -> Tensor:
    """Matrices (n, rows, columns) whose columns have length 1."""
    return functional.normalize(matrices, dim=-2)


def _grid(rows: int, columns: int) -> Tensor:
    """Row and column of each patch, (rows * columns, 2)."""
    both: Any = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack(both, dim=-1).reshape(-1, 2).float()
