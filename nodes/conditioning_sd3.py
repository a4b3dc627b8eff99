"""Conditioning of Stable Diffusion 3: a text for each of its three encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from engine.api import Clip, Conditioning, Context, In, node
from engine.models.hooked_text import conditioning as encoded
from nodes.conditioning_sdxl import Prompt

if TYPE_CHECKING:
    from engine.models.encoded import Encoded
    from engine.models.joined import JoinedEncoder

TOKENS, WIDTH, POOLED = 77, 4096, 2048
"""Of what stands for three empty texts."""


@node("CLIPTextEncodeSD3", category="advanced/conditioning", display_name=None)
def text_encode_sd3(
    ctx: Context,
    clip: Clip,
    clip_l: Prompt,
    clip_g: Prompt,
    t5xxl: Prompt,
    empty_padding: Annotated[
        str,
        In(
            choices=("none", "empty_prompt"),
            options={"advanced": True},
            tip="What an empty text is: none, as if its encoder were not there, or a prompt without words.",
        ),
    ] = "none",
) -> Conditioning:
    """Encode a text for each encoder of Stable Diffusion 3: (1, T, 4096), the CLIPs' tokens side by side and then T5's.

    Inferred: with `none` zeros stand for an empty CLIP text, T5 gives no tokens, and three empty texts are 77 tokens of zeros.
    """
    if clip.family != "sd3":
        raise ValueError(
            f"CLIPTextEncodeSD3: clip: expected the text encoders of Stable Diffusion 3, got those of {clip.family}. Load them "
            "with TripleCLIPLoader, or DualCLIPLoader with the type sd3."
        )
    given = {"clip_l": clip_l, "clip_g": clip_g, "t5xxl": t5xxl}
    texts = {name: text for name, text in given.items() if text or empty_padding == "empty_prompt"}
    there = {tower.tower for tower in clip.towers}
    if not there & texts.keys():
        return [[torch.zeros(1, TOKENS, WIDTH), {"pooled_output": torch.zeros(1, POOLED)}]]

    def encode(encoder: JoinedEncoder) -> Encoded:
        return encoder.encode_some(texts, ctx.warn)

    return encoded(ctx.models, clip, encode)
