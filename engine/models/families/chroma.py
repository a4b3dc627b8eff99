"""Chroma (Lodestone Rock 2025): FLUX.1 schnell made smaller, under T5 alone, guided by two branches."""

from __future__ import annotations

import msgspec

from engine.models.families import flux
from engine.models.families.base import Family
from engine.models.networks.chroma_sizes import CHROMA, LAYOUTS

T5 = msgspec.structs.replace(
    flux.T5, folder="text_encoder", tokenizer_folder="tokenizer", lora_prefixes=("lora_te_", "lora_te1_"), least=77
)
"""Filled up to 77 tokens as for Stable Diffusion 3 (inferred: workflows turn it off with T5TokenizerOptions)."""

FAMILY = Family(
    name="chroma",
    title="Chroma",
    layouts=LAYOUTS,
    network=CHROMA,
    context_dim=4096,
    latent=flux.FAMILY.latent,
    parameterization=flux.FAMILY.parameterization,
    towers=(T5,),
    patch=2,
    loader_types=("chroma",),
    full={},
)
