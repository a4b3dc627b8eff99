"""PixArt-α (Chen et al. 2023): a diffusion transformer over the latents of Stable Diffusion 1, under T5."""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families import flux
from engine.models.families.base import Family
from engine.models.networks.pixart_sizes import PIXART, layouts

T5 = msgspec.structs.replace(
    flux.T5,
    prefixes=("text_encoders.t5xxl.transformer.",),
    folder="text_encoder",
    tokenizer_folder="tokenizer",
    lora_prefixes=("lora_te_", "lora_te1_"),
    least=0,
    padding="masked",
)
FULL = {
    "out_channels": 8,
    "cross_attention_dim": 1152,
    "caption_channels": 4096,
    "sample_size": 128,
    "interpolation_scale": 2,
}

FAMILY = Family(
    name="pixart_alpha",
    title="PixArt-α",
    layouts=layouts(alpha=True),
    network=PIXART,
    context_dim=4096,
    latent=latent_formats.SD,
    parameterization=Parameterization(schedule="linear", beta_start=0.0001, beta_end=0.02),
    towers=(T5,),
    gives=2,
    loader_types=("pixart",),
    full=FULL | {"use_additional_conditions": True},
)
