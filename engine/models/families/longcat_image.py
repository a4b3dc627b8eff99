"""LongCat-Image and LongCat-Image-Edit (Meituan 2025): a flow built as FLUX.1's, under Qwen2.5-VL 7B.

Both have the same tensors: what a conditioning has tells whether there is a picture to edit.
"""

from __future__ import annotations

import math

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.longcat_sizes import LAYOUTS, LONGCAT

_ASKED = "<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
TEXT = Prompting(
    template="<|im_start|>system\nAs an image captioning expert, generate a descriptive text prompt based on an image content, "
    f"suitable for input to a text-to-image model.{_ASKED}",
    alone=512,
    letters=True,
)
EDIT = Prompting(
    template="<|im_start|>system\nAs an image editing expert, first analyze the content and attributes of the input image(s). "
    "Then, based on the user's editing instructions, clearly and precisely determine how to modify the given image(s), ensuring "
    f"that only the specified parts are altered and all other aspects remain consistent with the original(s).{_ASKED}",
    picture="<|vision_start|><|image_pad|><|vision_end|>",
    alone=512,
    letters=True,
)
"""How a prompt is put to the encoder with a picture to edit."""

QWEN25_7B = Tower(
    name="qwen25_7b",
    kind="qwen2_5_vl",
    prefixes=("text_encoders.qwen25_7b.transformer.",),
    width=3584,
    full_layers=28,
    prompting=TEXT,
    styles={"edit": EDIT},
)

FAMILY = Family(
    name="longcat_image",
    title="LongCat-Image",
    layouts=LAYOUTS,
    network=LONGCAT,
    context_dim=3584,
    latent=latent_formats.FLUX,
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(1.15)),
    towers=(QWEN25_7B,),
    patch=2,
    loader_types=("longcat_image",),
    full={},
)
