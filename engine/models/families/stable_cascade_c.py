"""Stable Cascade, stage C (Pernias et al. 2023; Stability AI 2024): a very small latent of a text, and of pictures."""

from __future__ import annotations

import msgspec

from engine.datatypes.parameterization import LatentFormat, Parameterization
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
    latent=LatentFormat(channels=16, downscale=42, scale=1.0),
    parameterization=Parameterization(schedule="cosine_time", timesteps=10_000, shift=2.0),
    towers=(CLIP_G,),
    loader_types=("stable_cascade",),
)
