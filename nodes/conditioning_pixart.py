"""Conditioning of PixArt-α: a text, and the size that its network is told."""

from __future__ import annotations

from typing import Annotated

from engine.api import Clip, Conditioning, Context, In, node
from engine.models.hooked_text import conditioning as encoded
from nodes.conditioning import with_options
from nodes.conditioning_sdxl import Prompt

Side = Annotated[int, In(ge=0, le=16384, tip="What the network is told of the picture, in pixels.")]


@node("CLIPTextEncodePixArtAlpha", category="advanced/conditioning")
def text_encode_pixart_alpha(
    ctx: Context, *, width: Side = 1024, height: Side = 1024, text: Prompt, clip: Clip
) -> Conditioning:
    """Encode a prompt (1, T, D) for PixArt-α, and tell its network a size (Chen et al. 2023).

    The network is told height and width, and height over width. Without this node it is told the size of the latent; PixArt-Σ,
    and α for pictures of 256 and 512 pixels, are told none.
    """
    made = encoded(ctx.models, clip, lambda encoder: encoder.encode(text, ctx.warn))
    return with_options(made, width=width, height=height)
