"""Kandinsky 5 for pictures (Kandinsky Lab 2025): a flow over FLUX.1's latents, under Qwen2.5-VL and a pooled CLIP-L."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families import flux
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.kandinsky5_sizes import KANDINSKY5, LAYOUTS

if TYPE_CHECKING:
    from engine.models.encoded import Encoded

QWEN = Tower(
    name="qwen25_7b",
    kind="qwen2_5_vl",
    width=3584,
    prompting=Prompting(
        template="<|im_start|>system\nYou are a prompt engineer. Describe the image by detailing the color, shape, size, "
        "texture, quantity, text, spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>",
        drop=40,
        most=40 + 512,
    ),
)
CLIP_L = msgspec.structs.replace(flux.CLIP_L, folder="text_encoder_2", tokenizer_folder="tokenizer_2")


def join(found: Mapping[str, Encoded]) -> Encoded:
    """Return Qwen2.5-VL's tokens, and the pooled text of CLIP-L."""
    return found["qwen25_7b"]._replace(options=found["clip_l"].options)


FAMILY = Family(
    name="kandinsky5_image",
    title="Kandinsky 5 Image",
    layouts=LAYOUTS,
    network=KANDINSKY5,
    context_dim=3584,
    # The library does not take FLUX.1's shift off its latents.
    latent=msgspec.structs.replace(latent_formats.FLUX, shift=0.0),
    # The shift is inferred, from workflows that set it to the same.
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    towers=(QWEN, CLIP_L),
    join=join,
    loader_types=("kandinsky5_image",),
    full={
        "in_text_dim": 3584,
        "in_text_dim2": 768,
        "time_dim": 512,
        "model_dim": 2560,
        "ff_dim": 10240,
        "num_text_blocks": 2,
        "num_visual_blocks": 50,
    },
)
