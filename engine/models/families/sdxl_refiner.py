"""The refiner of Stable Diffusion XL (Podell et al. 2023, section 2.5): one text encoder, and a score of beauty."""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.models.families.base import Family
from engine.models.families.sdxl import CLIP_G
from engine.models.networks.unet_sizes import U_NET, layouts

FAMILY = Family(
    name="sdxl_refiner",
    title="Stable Diffusion XL refiner",
    layouts=layouts(sized=True, width=lambda width: width == 1280),
    network=U_NET,
    context_dim=1280,
    head_dim=64,
    latent=latent_formats.SDXL,
    towers=(msgspec.structs.replace(CLIP_G, prefixes=("conditioner.embedders.0.model.",)),),
    loader_types=("sdxl",),
    size_facts=5,
    full={
        "block_out_channels": (384, 768, 1536, 1536),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": 4,
        "cross_attention_dim": 1280,
        "attention_head_dim": (6, 12, 24, 24),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2560,
    },
)
