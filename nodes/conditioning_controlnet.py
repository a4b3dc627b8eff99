"""A text of their own for control networks."""

from __future__ import annotations

from typing import Annotated

from engine.api import Clip, Conditioning, Context, In, node
from engine.models.hooked_text import conditioning as encoded
from engine.sampling.conditions import CONTROL_POOLED, CONTROL_TEXT
from nodes.conditioning import with_options


@node("CLIPTextEncodeControlnet", category="_for_testing/conditioning", display_name=None, experimental=True)
def text_encode_controlnet(
    ctx: Context,
    clip: Clip,
    conditioning: Conditioning,
    text: Annotated[
        str,
        In(
            multiline=True,
            options={"dynamicPrompts": True},
            tip="What control networks are told instead of the prompt.",
        ),
    ],
) -> Conditioning:
    """Tell the control networks of a conditioning another text (1, T, D) than the model."""
    context, options = encoded(ctx.models, clip, lambda encoder: encoder.encode(text, ctx.warn))[0]
    return with_options(conditioning, **{CONTROL_TEXT: context, CONTROL_POOLED: options.get("pooled_output")})
