"""Conditioning of models that take a strength of guidance, or latents to go by, as inputs of their own."""

from __future__ import annotations

from typing import Annotated, Literal

from engine.api import Conditioning, In, Latent, node
from nodes.conditioning import with_options

REFERENCES = "reference_latents"
"""Option of a conditioning: a list of latents (B, C, h, w) that the model sees beside the one it denoises."""

REFERENCES_METHOD = "reference_latents_method"
"""Option of a conditioning: how the model tells these latents apart."""


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


@node(
    "FluxKontextMultiReferenceLatentMethod",
    category="advanced/conditioning/flux",
    display_name="Edit Model Reference Method",
)
def reference_latents_method(
    conditioning: Conditioning,
    reference_latents_method: Annotated[
        Literal[
            "offset",
            "index",
            "uxo/uno",
            "index_timestep_zero",
            "index_timestep_zero_isolated",
            "index_timestep_zero_text_start",
        ],
        In(tip="offset: on one sheet; index: each on a sheet of its own; timestep_zero: and taken as free of noise."),
    ],
) -> Conditioning:
    """Say how an edit model tells apart the latents it is given to go by; it must be a way that the model knows."""
    method = "uxo" if reference_latents_method == "uxo/uno" else reference_latents_method
    return with_options(conditioning, **{REFERENCES_METHOD: method})
