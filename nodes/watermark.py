"""An invisible watermark in pictures, and reading it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from engine.api import Context, Image, In, Out, node

Key = Annotated[int, In(ge=0, le=0xFFFFFFFFFFFFFFFF, tip="Who reads the watermark needs the same number.")]
Strength = Annotated[
    float,
    In(ge=10, le=400, step=1, tip="More survives more and shows more; who reads the watermark needs the same number."),
]


class Found(NamedTuple):
    """What a picture carries."""

    text: Annotated[str, Out(tip="The text; empty when there is none.")]
    found: Annotated[bool, Out(tip="Whether the checksum fits.")]
    certainty: Annotated[
        float, Out(tip="How sure the bits are, from 0 to 1; near 0.64 in pictures without a watermark.")
    ]


@node("WatermarkEmbed", category="image/watermark", display_name="Embed Watermark")
def watermark_embed(
    ctx: Context,
    images: Image,
    text: Annotated[str, In(tip="At most 16 bytes in UTF-8: a name, a number, an id.")],
    key: Key = 0,
    strength: Strength = 60.0,
) -> Image:
    """Put a short text into pictures (B, H, W, C) of at least 256 × 256 so that it is not seen; alpha stays as it is.

    Spread-transform dither modulation of DWT-DCT coefficients (Chen and Wornell, 2001; Al-Haj, 2007), on the picture scaled to
    256 × 256. It survives JPEG of quality 80 and other sizes, not crops and rotations. A warning says where a picture has
    no room for it, as one that is black and white alone may.
    """
    from engine.media.watermark import embed, read

    marked = embed(images, text, key, strength)
    for number, picture in enumerate(marked):
        ctx.check_cancelled()
        if read(picture, key, strength).text != text:
            ctx.warn(
                f"The watermark cannot be read in picture {number + 1}, which leaves no room for it. Raise the strength."
            )
    return marked


@node("WatermarkRead", category="image/watermark", display_name="Read Watermark")
def watermark_read(ctx: Context, images: Image, key: Key = 0, strength: Strength = 60.0) -> Found:
    """Read the text that Embed Watermark put into pictures (B, H, W, C): of the first picture in which there is one.

    `key` and `strength` must be those it was put in with. A CRC-32 tells whether there is one: by chance, once in four thousand
    million pictures.
    """
    from engine.media.watermark import Read, read

    best = Read(False, "", 0.0)
    for picture in images:
        ctx.check_cancelled()
        found = read(picture, key, strength)
        if found.found:
            return Found(found.text, True, found.certainty)
        best = max(best, found, key=lambda one: one.certainty)
    return Found("", False, best.certainty)
