"""The image encoder as a callable of pictures (Radford et al. 2021, CLIP; Zhai et al. 2023, SigLIP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.vision_facts import CLIP, DEVIATIONS, MEANS

if TYPE_CHECKING:
    from torch import nn

    from engine.models.handles import ClipVisionHandle

MEAN, STD = MEANS[CLIP], DEVIATIONS[CLIP]


@dataclass(frozen=True, eq=False)
class Seen:
    """What an encoder makes of pictures: tokens (B, T, D) of the last layer and of the one before, and one vector (B, P).

    An encoder that makes no vector gives the tokens of the last layer for it. `earlier_hidden_states` (B, 2, T, D): tokens of the
    11th layer from the end and of the 20th, None where there are less. Items have the names of the fields, as packs ask for both.
    """

    last_hidden_state: Tensor
    image_embeds: Tensor
    penultimate_hidden_states: Tensor
    earlier_hidden_states: Tensor | None = None

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
        return int(self.handle.config["image_size"])

    def encode(self, pictures: Tensor, *, crop: bool = True) -> Seen:
        """Return what it sees in pictures (B, H, W, C) in 0..1, float32 on the CPU.

        With `crop` the middle square is seen, otherwise the whole picture squeezed into one.
        """
        kind = self.handle.family
        return self.encode_pixels(preprocess(pictures, self.image_size, MEANS[kind], DEVIATIONS[kind], crop=crop))

    @torch.no_grad()
    def encode_pixels(self, pixels: Tensor, layer: int = -2) -> Seen:
        """Return what it sees in pixels (B, 3, S, S) as `preprocess` makes them; `layer` -1 is the last, 0 the first."""
        found: Any = self.module(pixel_values=pixels.to(self.device, self.dtype), output_hidden_states=True)
        # hidden_states[0] is what the first layer is given
        vector = found.image_embeds if "image_embeds" in found else found.get("pooler_output", found.last_hidden_state)
        parts = found.last_hidden_state, vector, found.hidden_states[layer if layer < 0 else layer + 1]
        states = found.hidden_states
        earlier = torch.stack([states[-11], states[-20]], dim=1).float().cpu() if len(states) >= 20 else None
        last, one, before = (part.float().cpu() for part in parts)
        return Seen(last, one, before, earlier)


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
