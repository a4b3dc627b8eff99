"""Putting a drawn mask into a picture, as its alpha."""

from __future__ import annotations

from pathlib import Path

from engine.server.refusals import Refusal
from engine.server.routes.view_renditions import DECODER_ERRORS, eight_bit, open_picture, unreadable
from engine.server.saving import explained


def with_mask(original: Path, mask: Path, target: Path, max_pixels: int) -> None:
    """Write the picture at `original` with the alpha of the one at `mask` to `target`, as a PNG with the texts it had.

    Raises Refusal 400 when the sizes differ, 413 for too many pixels, 422 when one cannot be read.
    """
    from PIL import Image, ImageOps
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    name = original.name
    try:
        with open_picture(original, max_pixels) as opened:
            for key, value in getattr(opened, "text", {}).items():
                texts.add_text(key, value)
            picture = eight_bit(ImageOps.exif_transpose(opened)).convert("RGBA")
        name = "The mask"
        with open_picture(mask, max_pixels) as opened:
            drawn = eight_bit(opened).convert("RGBA")
    except Image.DecompressionBombError:
        raise Refusal(413, "too_many_pixels", f"{name} has more pixels than are decoded here.") from None
    except DECODER_ERRORS as error:
        raise unreadable(name, error) from error
    if drawn.size != picture.size:
        sizes = f"{drawn.width}×{drawn.height}, and {original.name} is {picture.width}×{picture.height}"
        raise Refusal(400, "sizes_differ", f"The mask is {sizes}. Draw it in the picture's size.")
    picture.putalpha(drawn.getchannel("A"))
    with explained():
        picture.save(target, "PNG", pnginfo=texts, compress_level=4)
