"""Pictures small enough for a message: as they are, else a smaller copy."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.media.load import MAX_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
"""What clients show."""

_LONGEST: Final = 1024
_SMALLEST: Final = 64
_QUALITY: Final = 85


class Preview(NamedTuple):
    """A picture file, and the size in pixels that the whole one has; `smaller`: it is not the whole one."""

    data: bytes
    kind: str
    size: tuple[int, int]
    smaller: bool


def preview_of(data: bytes, kind: str, most: int) -> Preview | None:
    """A picture file of at most `most` bytes: the one given, or a JPEG of at most 1024 pixels a side.

    None for what cannot be decoded, has too many pixels to try, or does not get small enough. Of an animation, the first frame.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            size = opened.size
            if kind in SHOWN and len(data) <= most:
                return Preview(data, kind, size, False)
            if size[0] * size[1] > MAX_PIXELS:
                return None
            small = _opaque(opened)
    except Exception:  # decoders raise nearly anything for a broken file
        return None
    side = _LONGEST
    while side >= _SMALLEST:
        small.thumbnail((side, side))
        file = io.BytesIO()
        small.save(file, "JPEG", quality=_QUALITY)
        if file.tell() <= most:
            return Preview(file.getvalue(), "image/jpeg", size, True)
        side //= 2
    return None


def _opaque(opened: Image) -> Image:
    """The picture as RGB, what is transparent on white."""
    from PIL import Image

    if not opened.has_transparency_data:
        return opened.convert("RGB")
    page = Image.new("RGBA", opened.size, "white")
    page.alpha_composite(opened.convert("RGBA"))
    return page.convert("RGB")
