"""The image encoder as a callable of pictures (Radford et al. 2021, CLIP; Zhai et al. 2023, SigLIP)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.vision_facts import CLIP, DEVIATIONS, MEANS, SIGLIP2

if TYPE_CHECKING:
    from torch import nn

    from engine.models.handles import ClipVisionHandle

MEAN, STD = MEANS[CLIP], DEVIATIONS[CLIP]


@dataclass(frozen=True, eq=False)
class Seen:
    """What an encoder makes of pictures: tokens (B, T, D) of the last layer and of the one before, and one vector (B, P).

    An encoder that makes no vector gives the tokens of the last layer for it. `earlier_hidden_states` (B, 2, T, D): tokens of the
    11th layer from the end and of the 20th, None where there are less. `grid`: rows and columns of the tokens, of an encoder of
    pictures of any shape. Items have the names of the fields, as packs ask for both.
    """

    last_hidden_state: Tensor
    image_embeds: Tensor
    penultimate_hidden_states: Tensor
    earlier_hidden_states: Tensor | None = None
    grid: tuple[int, int] | None = None

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


class VisionEncoder:
    """An image encoder on its device."""

    def __init__(self, module: nn.Module, handle: ClipVisionHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module = module
        self.handle = handle
        self.device = device
        self.dtype = dtype

    @property
    def image_size(self) -> int:
        """The side of the square that a picture is fitted to, in pixels."""
        if self.handle.family == SIGLIP2:
            return int(self.handle.config["patch_size"]) * math.isqrt(int(self.handle.config["num_patches"]))
        return int(self.handle.config["image_size"])

    def encode(self, pictures: Tensor, *, crop: bool = True) -> Seen:
        """Return what it sees in pictures (B, H, W, C) in 0..1, float32 on the CPU.

        With `crop` the middle square is seen, otherwise the whole picture squeezed into one. SigLIP 2 of any shape sees the whole
        picture, as large as its patches allow.
        """
        kind = self.handle.family
        if kind == SIGLIP2:
            return self._of_any_shape(pictures)
        return self.encode_pixels(preprocess(pictures, self.image_size, MEANS[kind], DEVIATIONS[kind], crop=crop))

    def nothing(self) -> Seen:
        """Return what it sees in a picture whose pixels are all the mean of those that it was trained on."""
        return self.encode_pixels(torch.zeros(1, 3, self.image_size, self.image_size))

    def _of_any_shape(self, pictures: Tensor) -> Seen:
        patch, most = (int(self.handle.config[name]) for name in ("patch_size", "num_patches"))
        rows, columns = fitting_grid(pictures.shape[1], pictures.shape[2], most)
        x = pictures[..., :3].movedim(-1, 1).float()
        x = functional.interpolate(x, size=(rows * patch, columns * patch), mode="bilinear", antialias=True)
        x = (255.0 * x).clamp(0, 255).round() / 255.0
        kind = self.handle.family
        mean, deviation = (x.new_tensor(values).reshape(1, 3, 1, 1) for values in (MEANS[kind], DEVIATIONS[kind]))
        cut = ((x - mean) / deviation).reshape(len(x), 3, rows, patch, columns, patch)
        grid = torch.tensor([[rows, columns]] * len(x), device=self.device)
        shown = torch.ones(len(x), rows * columns, dtype=torch.int64, device=self.device)
        told = {"pixel_attention_mask": shown, "spatial_shapes": grid}
        return replace(
            self.encode_pixels(cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2), -2, **told), grid=(rows, columns)
        )

    @torch.no_grad()
    def encode_pixels(self, pixels: Tensor, layer: int = -2, **told: Tensor) -> Seen:
        """Return what it sees in pixels (B, 3, S, S) as `preprocess` makes them; `layer` -1 is the last, 0 the first.

        `told`: what a module wants to know of patches that are given as rows, (B, N, 3 P P).
        """
        found: Any = self.module(pixel_values=pixels.to(self.device, self.dtype), output_hidden_states=True, **told)
        # hidden_states[0] is what the first layer is given
        vector = found.image_embeds if "image_embeds" in found else found.get("pooler_output", found.last_hidden_state)
        parts = found.last_hidden_state, vector, found.hidden_states[layer if layer < 0 else layer + 1]
        states = found.hidden_states
        earlier = torch.stack([states[-11], states[-20]], dim=1).float().cpu() if len(states) >= 20 else None
        last, one, before = (part.float().cpu() for part in parts)
        return Seen(last, one, before, earlier)


def fitting_grid(height: int, width: int, most: int) -> tuple[int, int]:
    """Return rows and columns of at most `most` patches for a picture of these sides, as many as its shape allows.

    Sides are scaled by one number, and rounded up to whole patches (Tschannen et al. 2025, NaFlex).
    """
    low, high = 0.0, float(most) / min(height, width) + 1.0

    def grid(scale: float) -> tuple[int, int]:
        rows, columns = (max(1, math.ceil(side * scale)) for side in (height, width))
        return rows, columns

    for _ in range(64):
        middle = (low + high) / 2
        rows, columns = grid(middle)
        low, high = (middle, high) if rows * columns <= most else (low, middle)
    return grid(low)


def preprocess(
    pictures: Tensor,
    size: int = 224,
    mean: tuple[float, ...] = MEAN,
    std: tuple[float, ...] = STD,
    *,
    crop: bool = True,
) -> Tensor:
    """Return pictures (B, H, W, C) in 0..1 as an encoder wants them: (B, 3, size, size), rounded to bytes, normalised."""
    x = pictures[..., :3].movedim(-1, 1).float()
    height, width = x.shape[-2:]
    if (height, width) != (size, size):
        scale = size / min(height, width)
        wanted = (round(height * scale), round(width * scale)) if crop else (size, size)
        x = functional.interpolate(x, size=wanted, mode="bicubic", antialias=True)
        top, left = (wanted[0] - size) // 2, (wanted[1] - size) // 2
        x = x[..., top : top + size, left : left + size]
    x = (255.0 * x).clamp(0, 255).round() / 255.0
    shape = (1, 3, 1, 1)
    return (x - x.new_tensor(mean).reshape(shape)) / x.new_tensor(std).reshape(shape)
