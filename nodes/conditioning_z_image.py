"""Conditioning of Z-Image Omni: a prompt, and pictures that it goes by."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.api import Clip, ClipVision, Conditioning, Context, In, Vae, node
from engine.models.encoded import Encoded
from engine.models.hooked_text import conditioning as encoded
from engine.models.networks.z_image_omni import PIECES, SEEN, grid_of
from nodes.conditioning import with_options
from nodes.conditioning_qwen import PIXELS, Picture, Prompt, going_by, latents_of, scaled_to

_START, _END = "<|vision_start|>", "<|vision_end|>"


@node("TextEncodeZImageOmni", category="advanced/conditioning", display_name=None)
def text_encode_z_image_omni(
    ctx: Context,
    *,
    clip: Clip,
    image_encoder: Annotated[ClipVision | None, In(tip="Sees the pictures: SigLIP 2 of pictures of any shape.")] = None,
    prompt: Prompt,
    auto_resize_images: Annotated[bool, In(tip="Encode pictures at about 1024 × 1024 pixels.")] = True,
    vae: Annotated[Vae | None, In(tip="Encodes the pictures to latents that the model goes by.")] = None,
    image1: Picture = None,
    image2: Picture = None,
    image3: Picture = None,
) -> Conditioning:
    """Encode a prompt (1, T, D) about up to three pictures for Z-Image Omni (Tongyi Lab 2025).

    The text comes in pieces, between which the pictures stand, each encoded by itself, as the library's pipeline has it. The
    image encoder sees pictures as they are given; sides of what is encoded are multiples of 8.
    """
    pictures = [one[:1, ..., :3] for one in (image1, image2, image3) if one is not None]
    texts = pieces(prompt, len(pictures))

    def encode(encoder: object) -> Encoded:
        found = [encoder.encode(text, ctx.warn, style="omni") for text in texts]  # type: ignore[attr-defined]
        lengths = torch.tensor([[one.context.shape[1] for one in found]])
        context = torch.cat([one.context for one in found], dim=1)
        return Encoded(context, {**found[0].options, PIECES: lengths}).signed([encoder.tower.kind])  # type: ignore[attr-defined]

    made = encoded(ctx.models, clip, encode)
    if image_encoder is not None and pictures:
        with ctx.models.use(image_encoder) as eyes:
            made = with_options(made, **{SEEN: [grid_of(eyes.encode(one, crop=False)) for one in pictures]})
    return going_by(
        made, latents_of(ctx, vae, [scaled_to(one, PIXELS, 8) if auto_resize_images else one for one in pictures])
    )


def pieces(prompt: str, pictures: int) -> list[str]:
    """Return the texts of a chat between which pictures stand, the one that is made last; one text without pictures."""
    opened, closed = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
    if not pictures:
        return [f"{opened}{prompt}{closed}"]
    between = [f"{_END}{_START}"] * (pictures - 1)
    return [f"{opened}{_START}", *between, f"{_END}{prompt}{closed}{_START}", f"{_END}<|im_end|>"]
