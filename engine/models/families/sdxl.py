"""Stable Diffusion XL (Podell et al. 2023), and what was made of it: Turbo, Lightning, inpainting, slimmer networks."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.models.families.base import Family, Tower
from engine.models.networks.unet_sizes import U_NET, layouts

CLIP_L = Tower(
    prefixes=("conditioner.embedders.0.transformer.",),
    lora_prefixes=("lora_te1_", "lora_te_", "lycoris_te1_"),
    act="quick_gelu",
    stop_at=-2,
    normed=False,
)
CLIP_G = Tower(
    name="clip_g",
    prefixes=("conditioner.embedders.1.model.",),
    folder="text_encoder_2",
    tokenizer_folder="tokenizer_2",
    lora_prefixes=("lora_te2_", "lycoris_te2_"),
    act="gelu",
    open_clip=True,
    pad="zero",
    stop_at=-2,
    normed=False,
    full_layers=32,
    width=1280,
)

FAMILY = Family(
    name="sdxl",
    title="Stable Diffusion XL",
    layouts=layouts(sized=True, width=lambda width: width not in (0, 1024, 1280)),
    network=U_NET,
    context_dim=2048,
    head_dim=64,
    latent=latent_formats.SDXL,
    towers=(CLIP_L, CLIP_G),
    pooled=1,
    loader_types=("sdxl",),
    size_facts=6,
    full={
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
)
