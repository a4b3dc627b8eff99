"""HunyuanVideo 1.5 (Tencent 2025) and models of its layout: a flow over latents of videos, under HunyuanImage's encoders."""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families import hunyuan_image
from engine.models.families.base import Family, Prompting
from engine.models.networks.hunyuan_video15_sizes import HUNYUAN_VIDEO15, LAYOUTS

_GAP = " " * 8
"""Stands before each of the points: the model was trained with it."""
QWEN = msgspec.structs.replace(
    hunyuan_image.QWEN,
    prompting=Prompting(
        template="<|im_start|>system\nYou are a helpful assistant. Describe the video by detailing the following aspects: "
        f"{_GAP}1. The main content and theme of the video. "
        f"{_GAP}2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects. "
        f"{_GAP}3. Actions, events, behaviors temporal relationships, physical movement changes of the objects. "
        f"{_GAP}4. background environment, light, style and atmosphere. "
        f"{_GAP}5. camera angles, movements, and transitions used in the video.<|im_end|>\n"
        "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        drop=108,
        most=108 + 1000,
        layers=(-3,),
    ),
)

FAMILY = Family(
    name="hunyuan_video15",
    title="HunyuanVideo 1.5",
    layouts=LAYOUTS,
    network=HUNYUAN_VIDEO15,
    context_dim=3584,
    latent=latent_formats.HUNYUAN_VIDEO15,
    # The shift is inferred, from workflows that set it to the same.
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=7.0),
    towers=(QWEN, msgspec.structs.replace(hunyuan_image.BYT5, glyphs="double quotes")),
    join=hunyuan_image.join,
    loader_types=("hunyuan_video_15",),
    full={},
)
