"""Conditioning of models that take a strength of guidance, or latents to go by, as inputs of their own."""

from __future__ import annotations

from typing import Annotated

from engine.api import Conditioning, In, Latent, node
from nodes.conditioning import with_options

REFERENCES = "reference_latents"
"""Option of a conditioning: a list of latents (B, C, h, w) that the model sees beside the one it denoises."""


@node("FluxGuidance", category="advanced/conditioning/flux", display_name=None)
def flux_guidance(
    conditioning: Conditioning,
    guidance: Annotated[
        float, In(ge=0, le=100, step=0.1, tip="Told to models that were distilled with guidance; others ignore it.")
    ] = 3.5,
) -> Conditioning:
    """Set the strength of guidance that a guidance-distilled model, such as FLUX.1 dev, is told on every step."""
    return with_options(conditioning, guidance=guidance)


@node("ReferenceLatent", category="advanced/conditioning/edit_models", display_name=None)
def reference_latent(
    conditioning: Conditioning,
    latent: Annotated[Latent | None, In(tip="An encoded picture; without one nothing changes.")] = None,
) -> Conditioning:
    """Give an edit model a latent to go by. Several of these nodes behind one another give several, in their order."""
    if latent is None:
        return conditioning
    return [
        [tokens, {**options, REFERENCES: [*options.get(REFERENCES, ()), latent["samples"]]}]
        for tokens, options in conditioning
    ]
