"""DeepFloyd IF, first and second stage (Shonenkov et al. 2023, after Saharia et al. 2022): pictures under T5.

The third stage is Stable Diffusion's x4 upscaler.
"""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families import flux
from engine.models.families.base import Family
from engine.models.networks.unet_if_sizes import IF_U_NET, LAYOUTS

T5 = msgspec.structs.replace(
    flux.T5,
    folder="text_encoder",
    tokenizer_folder="tokenizer",
    lora_prefixes=("lora_te_", "lora_te1_"),
    least=77,
    padding="masked",
    lower=True,
)

FAMILY = Family(
    name="deepfloyd_if",
    title="DeepFloyd IF",
    layouts=LAYOUTS,
    network=IF_U_NET,
    context_dim=4096,
    latent=latent_formats.PIXELS,
    parameterization=Parameterization(schedule="cosine", clip=1.5, clip_quantile=0.95),
    towers=(T5,),
    gives=2,
    loader_types=("deepfloyd_if",),
)
