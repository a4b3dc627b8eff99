"""Qwen-Image, Qwen-Image-Edit (also 2509 and 2511) and Qwen-Image-Layered (Wu et al. 2025): one network, a flow under Qwen2.5-VL.

Layered is told apart by the tensors of an embedding, Edit 2511 by an empty tensor or by what a workflow says of its references.
"""

from __future__ import annotations

import math

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.qwen_image_sizes import LAYOUTS, QWEN_IMAGE

TEXT = Prompting(
    template="<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    drop=34,
)
"""How a prompt is put to the encoder, of which the system's part is left out of the conditioning."""

EDIT = Prompting(
    template="<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. Generate a new image that "
    "meets the user's requirements while maintaining consistency with the original input where appropriate.<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    drop=64,
    picture="<|vision_start|><|image_pad|><|vision_end|>",
)
EDIT_PLUS = msgspec.structs.replace(EDIT, picture="Picture {}: <|vision_start|><|image_pad|><|vision_end|>")

FAMILY = Family(
    name="qwen_image",
    title="Qwen-Image",
    layouts=LAYOUTS,
    network=QWEN_IMAGE,
    context_dim=3584,
    latent=latent_formats.WAN21,
    # The shift of a run without ModelSamplingAuraFlow is inferred; the workflows of the field set it to 3.1, 3 or, Layered, 1.
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(1.15)),
    towers=(
        Tower(
            name="qwen25_7b",
            kind="qwen2_5_vl",
            prefixes=("text_encoders.qwen25_7b.transformer.",),
            lora_prefixes=("lora_te_", "lora_te1_"),
            width=3584,
            full_layers=28,
            prompting=TEXT,
            styles={"edit": EDIT, "edit_plus": EDIT_PLUS},
        ),
    ),
    patch=2,
    loader_types=("qwen_image", "stable_diffusion"),  # the second is inferred: whose its encoder is by default
    full={},
)
