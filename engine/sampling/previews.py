"""Rough pictures of a latent: cheap enough to make at each step."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.datatypes.parameterization import LatentFormat
from engine.sampling.noise_schedule import from_network_space
from engine.sampling.samplers.steps import StepInfo


def latent_to_rgb(
    latent: Tensor, latent_format: LatentFormat, *, scaled: bool = False, max_side: int | None = None
) -> NDArray[np.uint8]:
    """Return a picture (h, w, 3) of a latent (C, h, w), or of the first of (B, C, …, h, w), one pixel each.

    With the format's `rgb_factors` it is their linear map; without, the first three channels, each stretched over its
    range. `scaled` says that the latent is in the network's space (as a callback sees it) rather than the VAE's.
    `max_side` bounds the size in pixels.
    """
    picture = latent.detach()
    picture = picture if picture.dim() == 3 else picture[0]
    picture = picture if picture.dim() == 3 else picture[:, 0]  # the first frame of (C, T, h, w)
    picture = picture.to(torch.float32)
    if max_side is not None and max(picture.shape[-2:]) > max_side:
        factor = max_side / max(picture.shape[-2:])
        size = [max(1, round(side * factor)) for side in picture.shape[-2:]]
        picture = functional.interpolate(picture[None], size=size, mode="area")[0]
    rgb = _mapped(picture, latent_format, scaled) if latent_format.rgb_factors else _stretched(picture)
    pixels = rgb.nan_to_num(0.0).clamp(0.0, 1.0).mul(255.0).round().to(torch.uint8)
    array: NDArray[np.uint8] = pixels.permute(1, 2, 0).contiguous().cpu().numpy()
    return array


def preview(step: StepInfo, latent_format: LatentFormat, max_side: int | None = None) -> NDArray[np.uint8]:
    """Return what the picture looks like so far, (h, w, 3): the prediction of x_0 at this step."""
    return latent_to_rgb(step.denoised, latent_format, scaled=True, max_side=max_side)


def _mapped(picture: Tensor, latent_format: LatentFormat, scaled: bool) -> Tensor:
    raw = from_network_space(picture, latent_format) if scaled else picture
    factors = torch.tensor(latent_format.rgb_factors, device=raw.device)
    bias = torch.tensor(latent_format.rgb_bias, device=raw.device)
    return torch.einsum("chw,cr->rhw", raw, factors) + bias[:, None, None]


def _stretched(picture: Tensor) -> Tensor:
    channels = picture[:3] if picture.shape[0] >= 3 else picture[:1].expand(3, -1, -1)
    low, high = channels.amin(dim=(1, 2), keepdim=True), channels.amax(dim=(1, 2), keepdim=True)
    return (channels - low) / (high - low).clamp(min=1e-6)
