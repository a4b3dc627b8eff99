"""Conditioning of families whose text encoders want more than one text: a system's prompt before it, or a text for each."""

from __future__ import annotations

from typing import Annotated, Literal

from engine.api import Clip, Conditioning, Context, In, node
from engine.models.hooked_text import conditioning as encoded
from nodes.conditioning_sdxl import Prompt

SYSTEM_PROMPTS = {
    "superior": "You are an assistant designed to generate superior images with the superior degree of image-text "
    "alignment based on textual prompts or user prompts.",
    "alignment": "You are an assistant designed to generate high-quality images with the highest degree of image-text "
    "alignment based on textual prompts.",
}
"""What Lumina 2 was trained to read before a prompt."""


@node("CLIPTextEncodeLumina2", category="conditioning", display_name="CLIP Text Encode for Lumina2")
def text_encode_lumina2(
    ctx: Context,
    system_prompt: Annotated[
        Literal["superior", "alignment"],
        In(tip="What stands before the prompt: superior asks for beauty, alignment for keeping to the prompt."),
    ],
    user_prompt: Annotated[
        str, In(multiline=True, options={"dynamicPrompts": True}, tip="The prompt; parentheses weigh nothing.")
    ],
    clip: Clip,
) -> Conditioning:
    """Encode a prompt after one of the system prompts of Lumina 2."""
    text = f"{SYSTEM_PROMPTS[system_prompt]} <Prompt Start> {user_prompt}"
    return encoded(ctx.models, clip, lambda encoder: encoder.encode(text, ctx.warn))


@node("CLIPTextEncodeHiDream", category="advanced/conditioning")
def text_encode_hidream(
    ctx: Context, clip: Clip, clip_l: Prompt, clip_g: Prompt, t5xxl: Prompt, llama: Prompt
) -> Conditioning:
    """Encode a text for each of the four text encoders of HiDream."""
    texts = {"clip_l": clip_l, "clip_g": clip_g, "t5xxl": t5xxl, "llama": llama}
    return encoded(ctx.models, clip, lambda encoder: encoder.encode_each(texts, warn=ctx.warn))
