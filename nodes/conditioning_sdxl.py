"""Conditioning of Stable Diffusion XL: a text for each of its encoders, and the sizes that its network is told."""

from __future__ import annotations

from typing import Annotated

from engine.api import Clip, Conditioning, Context, In, Mentions, node
from engine.models.checkpoints import CHECKPOINT_SUFFIXES
from engine.models.hooked_text import conditioning as encoded
from nodes.conditioning import with_options

Side = Annotated[int, In(ge=0, le=16384, tip="Of the picture as if it came from the training set, in pixels.")]
Cut = Annotated[
    int, In(ge=0, le=16384, tip="Pixels that were cut off, as in the training set; 0: the subject is whole.")
]
Target = Annotated[int, In(ge=0, le=16384, tip="Of the picture that is made, in pixels.")]
Prompt = Annotated[
    str,
    In(
        multiline=True,
        mentions=Mentions("embedding:", "embeddings", CHECKPOINT_SUFFIXES),
        options={"dynamicPrompts": True},
        tip="The prompt. (word:1.2) weights a word, embedding:name inserts one.",
    ),
]


@node("CLIPTextEncodeSDXL", category="advanced/conditioning")
def text_encode_sdxl(
    ctx: Context,
    clip: Clip,
    width: Side = 1024,
    height: Side = 1024,
    crop_w: Cut = 0,
    crop_h: Cut = 0,
    target_width: Target = 1024,
    target_height: Target = 1024,
    text_g: Prompt = "",
    text_l: Prompt = "",
) -> Conditioning:
    """Encode a text for each of the two encoders, and tell the network sizes (Podell et al. 2023, section 2.2)."""
    texts = {"clip_g": text_g, "clip_l": text_l}
    made = encoded(ctx.models, clip, lambda encoder: encoder.encode_each(texts, warn=ctx.warn))
    options = {
        "width": width,
        "height": height,
        "crop_w": crop_w,
        "crop_h": crop_h,
        "target_width": target_width,
        "target_height": target_height,
    }
    return with_options(made, **options)


@node("CLIPTextEncodeSDXLRefiner", category="advanced/conditioning")
def text_encode_sdxl_refiner(
    ctx: Context,
    clip: Clip,
    ascore: Annotated[
        float, In(ge=0, le=1000, step=0.01, tip="How beautiful: 6 for the prompt, 2.5 for the negative.")
    ] = 6.0,
    width: Side = 1024,
    height: Side = 1024,
    text: Prompt = "",
) -> Conditioning:
    """Encode a prompt for the refiner, and tell it a size and how beautiful the picture is."""
    made = encoded(ctx.models, clip, lambda encoder: encoder.encode(text, ctx.warn))
    return with_options(made, aesthetic_score=ascore, width=width, height=height)
