"""U-Nets that are told how much noise is on what they are given: an upscaler's small picture, unCLIP's view of a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import torch

from engine.models.errors import ModelError
from engine.models.networks.augment import LEVELS, cosine, linear_in_root, noised
from engine.models.networks.unet import CLASSES, UNet

if TYPE_CHECKING:
    from torch import Tensor

_MOST_OF_UPSCALER: Final = 350
"""The level of a picture's noise at which the upscaler's training stopped."""

_MERGED: Final = 0.05
"""How much noise is put on what several pictures give together, as the field has it."""


class UpscalerUNet(UNet):
    """Stable Diffusion's upscaler to four times the size: the small picture goes beside the latent, which is of its size."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `concat` (b, 3, h', w'), the small picture in -1..1 with noise on it, and its level as `class_labels` (1,)."""
        picture = options.get("concat_image")
        if picture is None:
            picture = latent.new_zeros(1, self.handle.extra_channels, *latent.shape[-2:])
        level = round(_MOST_OF_UPSCALER * float(options.get("noise_augmentation", 0.0)))
        if level:
            picture = noised(picture, level, linear_in_root(1e-4, 0.02), int(options.get("run_seed", 0)))
        return {"concat": picture, CLASSES: torch.tensor([level])}


class UnclipUNet(UNet):
    """Stable Diffusion 2.1 unCLIP (after Ramesh et al. 2022): what CLIP saw in pictures, with noise on it, and how much."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `class_labels` (1, 2 P): what was seen and the level of its noise, of width P each; zeros without a picture.

        Raises ModelError for pictures that another image encoder saw.
        """
        width = int(self.handle.config["projection_class_embeddings_input_dim"]) // 2
        found = [(use, seen) for use in options.get("unclip_conditioning", ()) for seen in _seen(use)]
        if not found:
            return {CLASSES: torch.zeros(1, 2 * width)}
        if found[0][1].shape[-1] != width:
            raise ModelError(
                f"{self.handle.source.path}: {self.family.title} wants what an image encoder of width {width} saw, got width "
                f"{found[0][1].shape[-1]}. Use the image encoder that the checkpoint comes with (unCLIPCheckpointLoader)."
            )
        seed = int(options.get("run_seed", 0))
        parts = [_augmented(seen, use["noise_augmentation"], seed) * use["strength"] for use, seen in found]
        whole = torch.stack(parts).sum(0)
        return {CLASSES: whole if len(parts) == 1 else _augmented(whole[:, :width], _MERGED, seed)}


def _seen(use: Mapping[str, Any]) -> Sequence[Tensor]:
    """Each picture's vector, (1, P)."""
    embeds: Tensor = use["clip_vision_output"].image_embeds
    return torch.split(embeds, 1)


def _augmented(seen: Tensor, share: float, seed: int) -> Tensor:
    """Return a vector (1, P) with noise on it, and the level of the noise, (1, 2 P); `share` 0..1 of all levels."""
    level = round((LEVELS - 1) * share)
    return torch.cat([noised(seen, level, cosine(), seed), _waves(level, seen.shape[-1])], dim=1)


def _waves(level: int, width: int) -> Tensor:
    """A level as cosines and sines of falling frequency, (1, width)."""
    half = width // 2
    angles = level * torch.exp(torch.arange(half) * (-math.log(10_000.0) / half))
    return torch.cat([angles.cos(), angles.sin()])[None]
