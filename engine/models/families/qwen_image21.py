"""Qwen-Image 2.1 and its Turbo (Qwen team 2026): a flow over text, references and picture in one row, under Qwen3-VL."""

from __future__ import annotations

import math

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.qwen_image21_sizes import LAYOUTS, QWEN_IMAGE21

TEXT = Prompting(
    template="<|im_start|>system\nComprehend and analyze the provided prompt.<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    drop=14,
    last_normed=False,
)
PICTURE = "<image{}><|vision_start|><|image_pad|><|vision_end|>"

FAMILY = Family(
    name="qwen_image21",
    title="Qwen-Image 2.1",
    layouts=LAYOUTS,
    network=QWEN_IMAGE21,
    context_dim=4096,
    latent=latent_formats.QWEN_IMAGE21,
    # The shift is inferred: the library's pipeline has it for pictures of 1024 × 1024, and the field's workflows set none.
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(1.15)),
    towers=(
        Tower(
            name="qwen3vl_8b",
            kind="qwen3_vl",
            prefixes=("text_encoders.qwen3vl_8b.transformer.",),
            tokenizer_folder="processor",
            lora_prefixes=("lora_te_", "lora_te1_"),
            width=4096,
            full_layers=36,
            prompting=TEXT,
            styles={"edit": msgspec.structs.replace(TEXT, picture=PICTURE, between=" ")},
        ),
    ),
    loader_types=("qwen_image",),
    full={},
)
