"""Pictures as clients ask for them: with other channels, or as small files for previews."""

from __future__ import annotations

import asyncio
import io
import re
import struct
import threading
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NoReturn, TypeAlias, cast

import msgspec
import xxhash

from engine.server.refusals import Refusal

if TYPE_CHECKING:
    from PIL import Image

FORMATS: Final = ("webp", "jpeg", "png")
Channel: TypeAlias = Literal["rgb", "a", "rgba"]
CHANNELS: Final[tuple[Channel, ...]] = ("rgb", "a", "rgba")

_KEPT_BYTES: Final = 32 * 1024**2
_AT_ONCE: Final = 2
_QUALITY: Final = 90


class Wish(msgspec.Struct, frozen=True):
    """What is wanted of a picture. `format` "" means PNG where the channels are changed."""

    channel: Channel = "rgba"
    format: str = ""
    quality: int = _QUALITY
    longest: int = 0
    """The most pixels of its longer side; 0: as it is."""

    @property
    def as_it_is(self) -> bool:
        """Whether the file itself will do."""
        return self.channel == "rgba" and not self.format and not self.longest


class Rendition(msgspec.Struct, frozen=True):
    """An encoded picture."""

    data: bytes
    kind: str
    tag: str


def read_wish(channel: str, preview: str) -> Wish:
    """The wish that the parameters of a request state: `channel=rgb`, `preview=webp;90`. Raises Refusal 400."""
    wanted = next((one for one in CHANNELS if one == (channel or "rgba")), None)
    if wanted is None:
        raise Refusal(400, "invalid_channel", f"Expected channel=rgb, rgba or a; got {channel[:40]!r}.")
    if not preview:
        return Wish(channel=wanted)
    found = re.fullmatch(r"(?P<format>webp|jpe?g|png)(;(?P<quality>\d{1,3}))?", preview.strip().lower(), re.ASCII)
    if not found or not 1 <= int(found["quality"] or _QUALITY) <= 100:
        raise Refusal(400, "invalid_preview", f"Expected preview=webp;90 or jpeg;1…100; got {preview[:40]!r}.")
    kind = found["format"].replace("jpg", "jpeg")
    return Wish(channel=wanted, format=kind, quality=int(found["quality"] or _QUALITY))


class Renditions:
    """Makes renditions in threads, few at once, and keeps the latest."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._kept = Kept(_KEPT_BYTES)

    async def get(self, path: Path, wish: Wish) -> Rendition | None:
        """The picture at `path` as wished; None for an animation whose file had better be sent as it is.

        Raises Refusal 413 for one of too many pixels, 422 for one that cannot be read.
        """
        facts = await asyncio.to_thread(path.stat)
        key = f"{path}\0{facts.st_mtime_ns}\0{facts.st_size}\0{wish}"
        found = self._kept.get(key)
        if found is None:
            async with self._turn:
                found = await asyncio.to_thread(render, path, wish, self._max_pixels)
            if found is not None:
                self._kept.put(key, found)
        return found


class Kept:
    """The latest renditions, up to a number of bytes. Safe among threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._items: OrderedDict[str, Rendition] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Rendition | None:
        """What was kept under `key`."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: str, item: Rendition) -> None:
        """Keep `item`, and drop those not asked for the longest."""
        with self._lock:
            if key not in self._items:
                self._items[key] = item
                self._bytes += len(item.data)
            while self._bytes > self._limit:
                _, dropped = self._items.popitem(last=False)
                self._bytes -= len(dropped.data)


def render(source: Path | bytes, wish: Wish, max_pixels: int) -> Rendition | None:
    """As `Renditions.get`, here and now, of a file or of its bytes."""
    from PIL import Image, ImageOps

    try:
        with open_picture(source, max_pixels) as picture:
            if getattr(picture, "is_animated", False) and wish.channel == "rgba" and not wish.longest:
                return None
            upright = ImageOps.exif_transpose(picture)
            if wish.longest:
                upright.thumbnail((wish.longest, wish.longest))
            return _encode(_channels(eight_bit(upright), wish.channel), wish)
    except Image.DecompressionBombError:
        _too_many(source, max_pixels)
    except DECODER_ERRORS as error:
        raise unreadable(_name(source), error) from error


DECODER_ERRORS: Final = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError),
    struct.error,
)
"""What decoders raise for damaged pictures."""


def open_picture(source: Path | bytes, max_pixels: int) -> Image.Image:
    """A picture whose header has been read. Raises Refusal 413 when it has more pixels than that."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    if picture.width * picture.height > max_pixels:
        picture.close()
        _too_many(source, max_pixels)
    return picture


def unreadable(name: str, error: Exception) -> Refusal:
    """The refusal of a file that is no sound picture."""
    return Refusal(
        422, "unreadable_picture", f"{name} cannot be read as a picture: {str(error)[:200] or 'it is damaged'}."
    )


def eight_bit(picture: Image.Image) -> Image.Image:
    """The picture in RGB or RGBA of 8 bits."""
    if picture.mode.startswith("I;16"):
        picture = picture.point(lambda value: value * (1 / 256)).convert("L")
    elif picture.mode in ("I", "F"):
        low, high = cast("tuple[float, float]", picture.getextrema())  # of its one band
        scale = 255 / (high - low) if high > low else 1.0
        picture = picture.point(lambda value: value * scale - low * scale).convert("L")
    has_alpha = picture.has_transparency_data
    return picture if picture.mode in ("RGB", "RGBA") else picture.convert("RGBA" if has_alpha else "RGB")


def _channels(picture: Image.Image, channel: str) -> Image.Image:
    from PIL import Image

    if channel == "rgb":
        return picture.convert("RGB")
    if channel == "a":  # black, with the alpha where mask editors look for it
        alpha = picture.getchannel("A") if picture.mode == "RGBA" else Image.new("L", picture.size, 255)
        picture = Image.new("RGBA", picture.size)
        picture.putalpha(alpha)
    return picture


def _encode(picture: Image.Image, wish: Wish) -> Rendition:
    buffer = io.BytesIO()
    kind = wish.format or "png"
    if kind == "png":
        picture.save(buffer, "PNG", compress_level=1)
    elif kind == "webp":
        picture.save(buffer, "WEBP", quality=wish.quality, method=2)
    else:
        picture.convert("RGB").save(buffer, "JPEG", quality=wish.quality)
    data = buffer.getvalue()
    return Rendition(data, f"image/{kind}", xxhash.xxh3_64_hexdigest(data))


def _too_many(source: Path | bytes, max_pixels: int) -> NoReturn:
    message = f"{_name(source)} has more than {max_pixels / 1e6:g} million pixels, the most that is decoded here."
    raise Refusal(413, "too_many_pixels", message)


def _name(source: Path | bytes) -> str:
    return "The picture" if isinstance(source, bytes) else source.name
