"""Conditioning of HunyuanDiT: a text for each of its encoders."""

from __future__ import annotations

from engine.api import Clip, Conditioning, Context, node
from engine.models.hooked_text import conditioning as encoded
from nodes.conditioning_sdxl import Prompt


@node("CLIPTextEncodeHunyuanDiT", category="advanced/conditioning")
def text_encode_hunyuan_dit(ctx: Context, clip: Clip, bert: Prompt, mt5xl: Prompt) -> Conditioning:
    """Encode a text for BERT (1, 77, D), which likes phrases, and one for mT5, which likes sentences (Li et al. 2024)."""
    texts = {"hydit_clip": bert, "mt5xl": mt5xl}
    return encoded(ctx.models, clip, lambda encoder: encoder.encode_each(texts, warn=ctx.warn))
