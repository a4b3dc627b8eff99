"""Conditioning of Qwen-Image's edit models: a prompt, and pictures that its encoder sees, and these as latents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from engine.api import Clip, Conditioning, Context, Growing, Image, In, Latent, Out, Vae, node
from engine.media.bounds import bounded
from engine.media.resizing import resize_images
from engine.models.hooked_text import conditioning as encoded
from nodes.conditioning_edit import REFERENCES

PIXELS = 1024 * 1024
"""About how many pixels a picture has that is encoded to a latent to go by."""

SEEN_PIXELS = 384 * 384
"""About how many pixels a picture has that the text encoder sees, where it is another one."""

GRID = 32
"""Sides of Qwen-Image 2.1's pictures are multiples of this: what its text encoder sees as one token."""

_PICTURES: dict[str, Any] = {
    "input": {"optional": {"image": ["IMAGE", {}]}},
    "names": [f"image_{number}" for number in range(1, 17)],
    "min": 0,
}
"""What grows: pictures to go by."""

Prompt = Annotated[str, In(multiline=True, options={"dynamicPrompts": True}, tip="What is to be made, or changed.")]
Picture = Annotated[Image | None, In(tip="A picture to go by.")]
MaybeVae = Annotated[Vae | None, In(tip="Encodes the pictures to latents that the model goes by too.")]


class WithPictures(NamedTuple):
    """Both conditionings, and a latent of the size that the picture is to have."""

    positive: Annotated[Conditioning, Out(name="positive")]
    negative: Annotated[Conditioning, Out(name="negative")]
    latent: Annotated[Latent, Out(name="latent")]


@node("TextEncodeQwenImageEdit", category="advanced/conditioning", display_name=None)
def text_encode_qwen_image_edit(
    ctx: Context, clip: Clip, prompt: Prompt, vae: MaybeVae = None, image: Picture = None
) -> Conditioning:
    """Encode a prompt (1, T, D) to edit a picture that the text encoder sees, scaled to about 1024 × 1024 pixels."""
    pictures = [] if image is None else [scaled_to(image, PIXELS)]
    encoded = _encoded(ctx, clip, prompt, pictures, "edit" if pictures else "")
    return going_by(encoded, latents_of(ctx, vae, pictures))


@node("TextEncodeQwenImageEditPlus", category="advanced/conditioning", display_name=None)
def text_encode_qwen_image_edit_plus(
    ctx: Context,
    clip: Clip,
    prompt: Prompt,
    vae: MaybeVae = None,
    image1: Picture = None,
    image2: Picture = None,
    image3: Picture = None,
) -> Conditioning:
    """Encode a prompt (1, T, D) about up to three pictures, which it calls Picture 1, 2 and 3.

    The text encoder sees them at about 384 × 384 pixels; the latents to go by are of about 1024 × 1024.
    """
    pictures = [image for image in (image1, image2, image3) if image is not None]
    encoded = _encoded(ctx, clip, prompt, [scaled_to(one, SEEN_PIXELS) for one in pictures], "edit_plus")
    return going_by(encoded, latents_of(ctx, vae, [scaled_to(one, PIXELS, 8) for one in pictures]))


@node("TextEncodeQwenImage21", category="advanced/conditioning", display_name=None)
def text_encode_qwen_image21(
    ctx: Context,
    clip: Clip,
    prompt: Prompt,
    negative_prompt: Prompt,
    resolution: Annotated[
        int,
        In(ge=0, le=4096, step=32, tip="Pictures to go by are scaled to about so many pixels a side; 0 leaves them."),
    ] = 1024,
    images: Annotated[
        Growing | None, In(tip="Pictures to go by, in their order.", options={"template": _PICTURES})
    ] = None,
    vae: MaybeVae = None,
) -> WithPictures:
    """Encode two prompts (1, T, D) about up to 16 pictures, and make an empty latent of the size of the first one.

    Sides are multiples of 32. Where a picture has alpha the text encoder sees it on white. Sample at the size of the latent.
    """
    linked = images or {}
    given = [linked[name] for name in sorted(linked, key=lambda name: int(name.removeprefix("image_")))]
    pictures = [_on_grid(one, resolution) for one in given if one is not None]
    references = latents_of(ctx, vae, pictures)
    shown = [_on_white(one) for one in pictures]
    both = [_encoded(ctx, clip, text or " ", shown, "edit" if shown else "") for text in (prompt, negative_prompt)]
    side = resolution or 1024
    height, width = pictures[0].shape[1:3] if pictures else (side, side)
    empty = torch.zeros(bounded(1, 64, height // 16, width // 16))
    positive, negative = (going_by(one, references) for one in both)
    return WithPictures(positive, negative, {"samples": empty})


def _encoded(ctx: Context, clip: Clip, text: str, pictures: Sequence[Tensor], style: str) -> Conditioning:
    return encoded(ctx.models, clip, lambda encoder: encoder.encode(text, ctx.warn, pictures=pictures, style=style))


def latents_of(ctx: Context, vae: Vae | None, pictures: Sequence[Tensor]) -> list[Tensor]:
    """Return the latents of pictures; none without a VAE."""
    if vae is None or not pictures:
        return []
    with ctx.models.use(vae) as autoencoder:
        return [autoencoder.encode(picture) for picture in pictures]


def going_by(conditioning: Conditioning, latents: Sequence[Tensor]) -> Conditioning:
    """Return the conditioning with latents to go by, where there are any."""
    if not latents:
        return conditioning
    return [[tokens, {**options, REFERENCES: list(latents)}] for tokens, options in conditioning]


def scaled_to(image: Tensor, pixels: int, multiple: int = 1) -> Tensor:
    """Return the colours of a picture, scaled to about so many pixels by means of areas; its sides are multiples of a number."""
    height, width = image.shape[1:3]
    factor = math.sqrt(pixels / (height * width))
    across, down = (max(1, round(side * factor / multiple)) * multiple for side in (width, height))
    return resize_images(image[..., :3], across, down, "area")


def _on_grid(image: Tensor, resolution: int) -> Tensor:
    """A picture scaled to about `resolution` pixels a side, 0 for its own, on the grid."""
    height, width = image.shape[1:3]
    factor = resolution / math.sqrt(height * width) if resolution else 1.0
    across, down = (max(1, round(side * factor / GRID)) * GRID for side in (width, height))
    return image if (down, across) == (height, width) else resize_images(image, across, down, "lanczos")


def _on_white(image: Tensor) -> Tensor:
    if image.shape[-1] < 4:
        return image
    colours, alpha = image[..., :3], image[..., 3:4]
    return colours * alpha + (1.0 - alpha)
