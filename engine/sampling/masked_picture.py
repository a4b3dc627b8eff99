"""What Stable Diffusion's inpainting U-Nets are given beside the latent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.datatypes.parameterization import LatentFormat
from engine.sampling.masks import covering, fit_mask, repeat_to
from engine.sampling.noise_schedule import to_network_space

# Latent of an even grey picture in SD 1's VAE: what an inpainting model sees where it is given no picture.
_GREY_SD1 = (0.8223, -0.6876, 0.6364, 0.1380)


def masked_picture(
    options: Mapping[str, Any], latent: Tensor, noise_mask: Tensor | None, latent_format: LatentFormat
) -> Tensor:
    """Return mask and masked picture (B, 1 + C, h, w), the further channels of Stable Diffusion's inpainting U-Nets.

    A picture of another shape than the latent, and its mask, are cut about the centre rather than stretched.
    """
    picture = options.get("concat_latent_image")
    if picture is not None and (picture.ndim != latent.ndim or picture.shape[1] != latent.shape[1]):
        raise ValueError(
            f"concat_latent_image: expected a picture to fill of {latent.shape[1]} channels, as the latent {tuple(latent.shape)} "
            f"has, got {tuple(picture.shape)}. Encode it with the VAE that belongs to the model."
        )
    mask = options.get("concat_mask")
    if mask is not None:
        flat = mask.to(latent).reshape(-1, 1, *mask.shape[-2:])
        mask = covering(flat, *latent.shape[-2:])
    else:
        mask = noise_mask
    if mask is None:  # all of it is to be made: nothing of a picture shows
        grey = _GREY_SD1 if latent.shape[1] == len(_GREY_SD1) else (0.0,) * latent.shape[1]
        blank = torch.tensor(grey, device=latent.device).reshape(1, -1, 1, 1).expand_as(latent)
        return torch.cat([torch.ones_like(latent[:, :1]), blank], dim=1)
    fitted = repeat_to(fit_mask(mask, latent.shape, latent.device).round(), latent.shape[0])
    seen = latent
    if picture is not None:
        seen = to_network_space(picture.to(latent), latent_format)
        seen = repeat_to(covering(seen, *latent.shape[-2:]), latent.shape[0])
    return torch.cat([fitted, seen], dim=1)
