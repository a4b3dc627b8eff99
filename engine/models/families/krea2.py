"""Krea 2 and Krea 2 Turbo (Krea AI 2026): a flow over tokens of two by two latent pixels, under twelve layers of Qwen3-VL 4B."""

from __future__ import annotations

import math

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.krea2_sizes import KREA2, LAYOUTS

QWEN = Tower(
    name="qwen3vl_4b",
    kind="qwen3_vl",
    width=2560,
    prompting=Prompting(
        template="<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
        "relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        drop=34,
        layers=(2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35),
        most=34 + 512,
        cut="prompt",
    ),
)

FAMILY = Family(
    name="krea2",
    title="Krea 2",
    layouts=LAYOUTS,
    network=KREA2,
    context_dim=12 * 2560,
    latent=latent_formats.WAN21,
    # Turbo's shift at every size, and that of the model before distillation at its largest.
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(1.15)),
    towers=(QWEN,),
    patch=2,
    loader_types=("krea2",),
    full={},
)
