"""Stable Diffusion 2.1 unCLIP (Stability AI 2023): variations of pictures, seen by CLIP-L or by open_clip's ViT-H."""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families import sd2
from engine.models.families.base import Family
from engine.models.networks.unet_sizes import U_NET, layouts

ORIGINAL, DIFFUSERS = layouts(sized=True, width=lambda width: width == 1024, vector=lambda numbers: numbers > 4)

FAMILY = Family(
    name="sd2_unclip",
    title="Stable Diffusion 2.1 unCLIP",
    layouts=(
        ORIGINAL,
        msgspec.structs.replace(DIFFUSERS, has=(*DIFFUSERS.has, "class_embedding.linear_1.weight")),
    ),
    network=msgspec.structs.replace(U_NET, call="engine.models.networks.unet_augmented:UnclipUNet"),
    context_dim=1024,
    head_dim=64,
    latent=latent_formats.SD,
    parameterization=Parameterization(prediction="v"),
    towers=sd2.FAMILY.towers,
)
