"""Fibo 2 and Fibo 2 Edit (Bria AI 2026): a flow over FLUX.2's latents, under bundles of layers of Qwen3-VL 4B."""

from __future__ import annotations

import math

from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.families.flux2 import LATENT
from engine.models.networks.fibo2_sizes import FIBO2, LAYOUTS

QWEN = Tower(
    name="qwen3vl_4b",
    kind="qwen3_vl",
    width=2560,
    tokenizer_folder="processor",
    prompting=Prompting(
        template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        # A bundle of three for the tokens that sum up the text, then one for each block that reads it.
        layers=(9, 20, 31, 5, 16, 27, 7, 18, 29, 9, 20, 31, 11, 22, 33, 13, 24, 35),
        most=4096,
        picture="<|vision_start|><|image_pad|><|vision_end|>",
    ),
)

FAMILY = Family(
    name="fibo2",
    title="Fibo 2",
    layouts=LAYOUTS,
    network=FIBO2,
    context_dim=18 * 2560,
    latent=LATENT,
    # Inferred: FLUX.1's shift at 1024 × 1024 pixels, the size for which it was trained.
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(1.15)),
    towers=(QWEN,),
    loader_types=("fibo2",),
    full={},
)
