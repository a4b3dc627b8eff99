"""Stable Diffusion's upscaler to four times the size (Stability AI 2022), also the last stage of DeepFloyd IF."""

from __future__ import annotations

import msgspec

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.models.families import sd2
from engine.models.families.base import Family
from engine.models.networks.unet_sizes import U_NET, layouts

FAMILY = Family(
    name="sd_x4",
    title="Stable Diffusion x4 upscaler",
    layouts=layouts(sized=False, width=lambda width: width == 1024, classes=True),
    network=msgspec.structs.replace(U_NET, call="engine.models.networks.unet_augmented:UpscalerUNet"),
    context_dim=1024,
    heads=8,
    latent=LatentFormat(downscale=4, scale=0.08333),
    parameterization=Parameterization(prediction="v", beta_start=1e-4, beta_end=0.02),
    towers=sd2.FAMILY.towers,
)
