"""Ovis-Image (AIDC 2025): a flow built as FLUX.1's, under the language model of Ovis 2.5."""

from __future__ import annotations

import math

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.ovis_sizes import LAYOUTS, OVIS

OVIS_2_5 = Tower(
    name="ovis_2.5",
    kind="qwen3",
    prefixes=("text_encoders.qwen3_2b.transformer.",),
    width=2048,
    full_layers=28,
    prompting=Prompting(
        template="<|im_start|>user\nDescribe the image by detailing the color, quantity, text, shape, size, texture, spatial "
        "relationships of the objects and background: {}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        drop=28,
        least=256 + 28,
    ),
)
"""The language model of Ovis 2.5 2B, which is built as Qwen3's."""

FAMILY = Family(
    name="ovis_image",
    title="Ovis-Image",
    layouts=LAYOUTS,
    network=OVIS,
    context_dim=2048,
    latent=latent_formats.FLUX,
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(1.15)),
    towers=(OVIS_2_5,),
    patch=2,
    loader_types=("ovis",),
    full={},
)
