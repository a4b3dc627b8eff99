"""Lotus-D (He et al. 2024): a U-Net of Stable Diffusion 2 that turns a picture's latent into that of its depth, in one step.

It is told by four numbers which of two tasks it has, the second being to give the picture back, and reads an empty text.
"""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family
from engine.models.networks.unet_sizes import U_NET, layouts

ORIGINAL, DIFFUSERS = layouts(sized=True, width=lambda width: width == 1024, vector=lambda numbers: numbers == 4)

FAMILY = Family(
    name="lotus",
    title="Lotus",
    layouts=(
        msgspec.structs.replace(ORIGINAL, has=(*ORIGINAL.has, "label_emb.0.0.weight")),
        msgspec.structs.replace(DIFFUSERS, has=(*DIFFUSERS.has, "class_embedding.linear_1.weight")),
    ),
    network=msgspec.structs.replace(U_NET, call="engine.models.networks.unet_lotus:LotusUNet"),
    context_dim=1024,
    head_dim=64,
    latent=latent_formats.SD,
    parameterization=Parameterization(prediction="img_to_img"),
)
