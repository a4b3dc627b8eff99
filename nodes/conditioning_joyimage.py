"""Conditioning of JoyImage Edit: an instruction, and the pictures that it is about."""

from __future__ import annotations

from typing import Annotated, Any

from engine.api import Clip, Conditioning, Context, Growing, In, Vae, node
from engine.models.hooked_text import conditioning as encoded
from nodes.conditioning_edit import reference_latent

_PICTURES: dict[str, Any] = {
    "input": {"optional": {"image": ["IMAGE", {}]}},
    "prefix": "image",
    "min": 0,
    "max": 6,
}
"""What grows: pictures to edit, under the names image0 to image5."""


@node("TextEncodeJoyImageEdit", category="advanced/conditioning/edit_models", display_name=None)
def text_encode_joyimage_edit(
    ctx: Context,
    clip: Clip,
    prompt: Annotated[
        str,
        In(multiline=True, options={"dynamicPrompts": True}, tip="What to make, or what to change in the pictures."),
    ],
    vae: Annotated[Vae | None, In(tip="Encodes the pictures, which the model then sees besides the encoder.")] = None,
    images: Annotated[Growing | None, In(tip="Pictures to edit.", options={"template": _PICTURES})] = None,
) -> Conditioning:
    """Encode a prompt (1, T, D) about up to six pictures, which are taken as large as they are given."""
    linked = images or {}
    names = sorted(linked, key=lambda name: int(name.removeprefix("image")))
    pictures = [linked[name][:1, ..., :3] for name in names]
    told: Conditioning = encoded(ctx.models, clip, lambda encoder: encoder.encode(prompt, ctx.warn, pictures))
    if vae is None:
        return told
    with ctx.models.use(vae) as autoencoder:
        for picture in pictures:
            told = reference_latent(told, {"samples": autoencoder.encode(picture)})
    return told
