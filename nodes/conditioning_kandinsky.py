"""Conditioning of Kandinsky 5: a text for each of its encoders."""

from __future__ import annotations

from engine.api import Clip, Conditioning, Context, node
from engine.models.hooked_text import conditioning as encoded
from nodes.conditioning_sdxl import Prompt


@node("CLIPTextEncodeKandinsky5", category="advanced/conditioning/kandinsky5")
def text_encode_kandinsky5(ctx: Context, clip: Clip, clip_l: Prompt, qwen25_7b: Prompt) -> Conditioning:
    """Encode a text for each of the two encoders: CLIP-L's is one vector, Qwen2.5-VL's is read word by word."""
    texts = {"clip_l": clip_l, "qwen25_7b": qwen25_7b}
    return encoded(ctx.models, clip, lambda encoder: encoder.encode_each(texts, warn=ctx.warn))
