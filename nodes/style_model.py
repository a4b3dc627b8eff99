"""Style models: pictures as further tokens of a text."""

from __future__ import annotations

import math
from typing import Annotated

import torch

from engine.api import ClipVisionOutput, Conditioning, Context, Files, In, StyleModel, node

StyleModelName = Annotated[str, In(choices=Files("style_models"), tip="A file in models/style_models.")]


@node("StyleModelLoader", category="loaders", display_name="Load Style Model")
def style_model_loader(ctx: Context, style_model_name: StyleModelName) -> StyleModel:
    """Load a style model: FLUX.1 Redux, or T2I-Adapter's style adapter of Stable Diffusion 1."""
    return ctx.models.style_model(ctx.paths.find("style_models", style_model_name))


@node("StyleModelApply", category="conditioning/style_model", display_name="Apply Style Model")
def style_model_apply(
    ctx: Context,
    conditioning: Conditioning,
    style_model: StyleModel,
    clip_vision_output: ClipVisionOutput,
    strength: Annotated[float, In(ge=0, le=10, step=0.001, tip="1 is as trained.")] = 1.0,
    strength_type: Annotated[
        str,
        In(choices=("multiply", "attn_bias"), tip="multiply scales the tokens, attn_bias how much is looked at them."),
    ] = "multiply",
) -> Conditioning:
    """Let the text be followed by tokens for what an image encoder saw."""
    with ctx.models.use(style_model) as model:
        tokens = model.tokens(clip_vision_output)
    if strength_type == "multiply":
        tokens = tokens * strength
    bias = math.log(strength) if strength > 0 else -math.inf
    result: Conditioning = []
    for text, options in conditioning:
        if text.shape[-1] != tokens.shape[-1]:
            raise ValueError(
                f"StyleModelApply: the text has width {text.shape[-1]} and the style model's tokens {tokens.shape[-1]}; "
                "use the text encoders of the model that the style model was made for."
            )
        new = dict(options)
        if strength_type == "attn_bias" and strength != 1.0:
            new["style_tokens"] = [*options.get("style_tokens", ()), (text.shape[1], tokens.shape[1], bias)]
        result.append([torch.cat([text, tokens.expand(len(text), -1, -1)], dim=1), new])
    return result
