"""Stable Cascade, stage C (Pernias et al. 2023; Stability AI 2024): a very small latent of a text, and of pictures."""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families import sdxl
from engine.models.families.base import Family
from engine.models.networks.cascade_sizes import LAYOUTS_C, STAGE_C

CLIP_G = msgspec.structs.replace(
    sdxl.CLIP_G,
    prefixes=("text_encoder.",),
    folder="text_encoder",
    tokenizer_folder="tokenizer",
    lora_prefixes=("lora_te_", "lora_te1_"),
    open_clip=False,
    pad="end",
    stop_at=-1,
    padding="masked",
)

FAMILY = Family(
    name="stable_cascade_c",
    title="Stable Cascade stage C",
    layouts=LAYOUTS_C,
    network=STAGE_C,
    latent=latent_formats.CASCADE_C,
    parameterization=Parameterization(schedule="cosine_time", timesteps=10_000, shift=2.0),
    towers=(CLIP_G,),
    loader_types=("stable_cascade",),
    full={
        "block_out_channels": (2048, 2048),
        "num_attention_heads": (32, 32),
        "down_num_layers_per_block": (8, 24),
        "up_num_layers_per_block": (24, 8),
        "clip_text_in_channels": 1280,
        "clip_image_in_channels": 768,
        "switch_level": (False,),
    },
)
