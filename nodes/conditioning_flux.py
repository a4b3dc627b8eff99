"""Conditioning of FLUX: a text for each of its encoders, and the guidance that its network was distilled to take."""

from __future__ import annotations

from typing import Annotated

from engine.api import Clip, Conditioning, Context, In, node
from engine.models.hooked_text import conditioning as encoded
from nodes.conditioning import with_options
from nodes.conditioning_sdxl import Prompt

Guidance = Annotated[float, In(ge=0, le=100, step=0.1, tip="How closely the prompt is followed; told to the network.")]


@node("CLIPTextEncodeFlux", category="advanced/conditioning/flux")
def text_encode_flux(ctx: Context, clip: Clip, clip_l: Prompt, t5xxl: Prompt, guidance: Guidance = 3.5) -> Conditioning:
    """Encode a text for each of the two encoders, and say how strong the guidance is."""
    texts = {"clip_l": clip_l, "t5xxl": t5xxl}
    made = encoded(ctx.models, clip, lambda encoder: encoder.encode_each(texts, warn=ctx.warn))
    return with_options(made, guidance=guidance)


@node("FluxDisableGuidance", category="advanced/conditioning/flux", display_name=None)
def flux_disable_guidance(conditioning: Conditioning) -> Conditioning:
    """Tell FLUX and its kin no guidance at all: what a network was distilled to be told is left out of its time embedding.

    It changes nothing for networks that take none, such as FLUX.1 schnell.
    """
    return [[context, {**told, "guidance": None}] for context, told in conditioning]
