"""Stable Cascade, stage B (Pernias et al. 2023; Stability AI 2024): the latent of stage A's autoencoder, of stage C's latent."""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.models.families import stable_cascade_c
from engine.models.families.base import Family
from engine.models.networks.cascade_sizes import LAYOUTS_B, STAGE_B

FAMILY = Family(
    name="stable_cascade_b",
    title="Stable Cascade stage B",
    layouts=LAYOUTS_B,
    network=STAGE_B,
    latent=latent_formats.CASCADE_B,
    parameterization=msgspec.structs.replace(stable_cascade_c.FAMILY.parameterization, shift=1.0),
    towers=(stable_cascade_c.CLIP_G,),
    full={
        "in_channels": 4,
        "out_channels": 4,
        "patch_size": 2,
        "conditioning_dim": 1280,
        "block_out_channels": (320, 640, 1280, 1280),
        "num_attention_heads": (-1, -1, 20, 20),
        "down_num_layers_per_block": (2, 6, 28, 6),
        "up_num_layers_per_block": (6, 28, 6, 2),
        "down_blocks_repeat_mappers": (1, 1, 1, 1),
        "up_blocks_repeat_mappers": (3, 3, 2, 2),
        "block_types_per_layer": (
            *[("SDCascadeResBlock", "SDCascadeTimestepBlock")] * 2,
            *[("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock")] * 2,
        ),
        "effnet_in_channels": 16,
        "pixel_mapper_in_channels": 3,
        "timestep_conditioning_type": ("sca",),
        "dropout": (0.0, 0.0, 0.1, 0.1),
    },
)
