"""Conditioning of Fibo 2: a caption, or an instruction with the pictures that it is about."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np
import torch
from PIL import Image as PillowImage

from engine.api import Clip, Conditioning, Context, Growing, Image, In, Latent, Out, Vae, node
from engine.media.bounds import bounded
from engine.media.resizing import resize_images
from engine.media.tensors import to_bytes
from engine.models.hooked_text import conditioning as encoded
from nodes.captions import NOTHING, to_edit, to_generate
from nodes.conditioning_edit import reference_latent
from nodes.dimensions import MAX_RESOLUTION, BatchSize

AREA = 1024 * 1024
"""Pixels of the pictures that it was trained on, within a tenth."""
_STEP, _LEAST = 16, 64
_SEEN = 768
"""Pixels that the longer side of a picture has at most for the text encoder."""
_PICTURES = {
    "input": {"optional": {"image": ["IMAGE", {}]}},
    "min": 0,
    "names": [f"image_{number}" for number in range(1, 17)],
}

Side = Annotated[
    int, In(ge=0, le=MAX_RESOLUTION, step=_STEP, tip="0 takes the size of training for the first picture's shape.")
]


class Told(NamedTuple):
    """Both conditionings, and an empty latent of their size."""

    positive: Annotated[Conditioning, Out(name="positive")]
    negative: Annotated[Conditioning, Out(name="negative")]
    latent: Annotated[Latent, Out(name="latent")]


@node("TextEncodeFibo2", category="advanced/conditioning/edit_models", display_name=None)
def text_encode_fibo2(
    ctx: Context,
    clip: Clip,
    prompt: Annotated[str, In(multiline=True, tip="A caption, as text or JSON; with pictures what to change in them.")],
    negative_prompt: Annotated[
        str, In(multiline=True, tip="Taken as it is; empty is a caption that says nothing.")
    ] = "",
    vae: Annotated[Vae | None, In(tip="Encodes the pictures, which the model then sees besides the encoder.")] = None,
    images: Annotated[Growing | None, In(tip="Pictures to edit.", options={"template": _PICTURES})] = None,
    width: Side = 0,
    height: Side = 0,
    batch_size: BatchSize = 1,
) -> Told:
    """Encode a caption, or what to change in up to 16 pictures, and make an empty latent of the result's size.

    One picture is scaled and cut to that size; several are each cut to a size of training. Without a VAE only the text encoder
    sees them, 768 pixels a side at most. Pictures of the texts that a caption's `text_render` asks for are not drawn.
    """
    given = [image[:1, ..., :3] for image in _in_order(images or {})]
    size = _size(width, height, given)
    pictures = [_covering(given[0], *size)] if len(given) == 1 else [_covering(one, *_trained(one)) for one in given]
    text = to_edit(prompt, len(pictures)) if pictures else to_generate(prompt)
    seen = [_seen(one) for one in pictures]
    both: list[Conditioning] = [
        encoded(ctx.models, clip, lambda encoder: encoder.encode(text, ctx.warn, seen)),
        encoded(ctx.models, clip, lambda encoder: encoder.encode(negative_prompt or NOTHING, ctx.warn)),
    ]
    for latent in _latents(ctx, vae, pictures):
        both = [reference_latent(one, latent) for one in both]
    rows, columns = size[1] // _STEP, size[0] // _STEP
    return Told(both[0], both[1], {"samples": torch.zeros(bounded(batch_size, 128, rows, columns))})


def _latents(ctx: Context, vae: Vae | None, pictures: list[Image]) -> list[Latent]:
    if vae is None or not pictures:
        return []
    with ctx.models.use(vae) as autoencoder:
        return [{"samples": autoencoder.encode(picture)} for picture in pictures]


def _in_order(images: dict[str, Image]) -> list[Image]:
    return [images[name] for name in sorted(images, key=lambda name: int(name.removeprefix("image_")))]


def _size(width: int, height: int, pictures: list[Image]) -> tuple[int, int]:
    """Width and height of the result."""
    if pictures and not width and not height:
        return _trained(pictures[0])
    across, down = (max(_STEP, (side or math.isqrt(AREA)) // _STEP * _STEP) for side in (width, height))
    return across, down


def _trained(picture: Image) -> tuple[int, int]:
    """The size of training that cuts the least off a picture, then the one nearest in area."""
    ratio = picture.shape[2] / picture.shape[1]
    sizes = [
        (width, height)
        for width in range(_LEAST, 2 * AREA // _LEAST, _STEP)
        for height in range(_LEAST, 2 * AREA // width, _STEP)
        if 0.9 * AREA <= width * height <= 1.1 * AREA
    ]

    def cost(size: tuple[int, int]) -> tuple[float, int, int]:
        shape = size[0] / size[1]
        return round(1 - min(shape / ratio, ratio / shape), 9), abs(size[0] * size[1] - AREA), -size[0]

    return min(sizes, key=cost)


def _covering(picture: Image, width: int, height: int) -> Image:
    """A picture (1, H, W, 3) scaled to cover a size, and cut to it about the centre."""
    have_height, have_width = picture.shape[1:3]
    scale = max(height / have_height, width / have_width)
    wide, high = math.ceil(have_width * scale), math.ceil(have_height * scale)
    scaled = resize_images(picture, wide, high, "lanczos")
    left, top = (wide - width) // 2, (high - height) // 2
    return scaled[:, top : top + height, left : left + width]


def _seen(picture: Image) -> Image:
    """A picture as the text encoder sees it, in Pillow's way of making small copies."""
    small = PillowImage.fromarray(to_bytes(picture[0]))
    small.thumbnail((_SEEN, _SEEN))
    return torch.from_numpy(np.asarray(small).astype(np.float32) / 255)[None]
