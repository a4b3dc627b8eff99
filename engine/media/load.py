"""Opening pictures that strangers made: bounded before decoding, any mode, one convention out."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from engine.media.errors import MediaError
from engine.media.tensors import alpha_mask, has_alpha, to_tensor

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

MAX_PIXELS: Final = 89_478_485
"""Pixels of all frames together that a file may have: 1 GiB as float32 RGB, and Pillow's own limit for one frame."""

ANIMATED_FORMATS: Final = frozenset({"GIF", "WEBP", "PNG", "TIFF", "AVIF"})
"""Formats whose frames are a sequence; the further pictures in others (MPO of phones) are depth maps and thumbnails."""

Channel = Literal["alpha", "red", "green", "blue"]


class Picture(NamedTuple):
    """`image` float32 (B, H, W, 3) in 0..1; `mask` float32 (B, H, W), 1 - alpha, or zeros (B, 64, 64) without alpha."""

    image: Tensor
    mask: Tensor


def load_picture(path: Path) -> Picture:
    """Read a picture file, turned upright by its EXIF orientation; an animation is a batch of its frames of equal size.

    Raises MediaError when the file cannot be read, is no picture, is truncated, or has more than MAX_PIXELS by its header,
    in which case it is not decoded.
    """
    return _picture(_frames(path))


def read_picture(data: bytes, name: str) -> Picture:
    """The same of a file's bytes, which errors call `name`."""
    return _picture(_frames(Path(name), data))


def _picture(frames: list[Image]) -> Picture:
    import torch

    image = torch.cat([to_tensor(frame) for frame in frames])
    if not any(has_alpha(frame) for frame in frames):
        return Picture(image, torch.zeros(len(frames), 64, 64))
    opaque = torch.zeros(1, *image.shape[1:3])
    masks = [alpha_mask(frame) for frame in frames]
    return Picture(image, torch.cat([opaque if mask is None else mask for mask in masks]))


def load_channel(path: Path, channel: Channel) -> Tensor:
    """One channel of a picture file as a mask, float32 (1, H, W) in 0..1; "alpha" gives 1 - alpha, zeros without alpha.

    Of an animation it is that of the first frame. Raises MediaError as `load_picture` does.
    """
    import torch

    frame = _frames(path)[0]
    if channel != "alpha":
        return to_tensor(frame)[..., ("red", "green", "blue").index(channel)].contiguous()
    mask = alpha_mask(frame)
    return torch.zeros(1, frame.height, frame.width) if mask is None else mask


def first_frame(path: Path) -> Image:
    """The first frame of a picture file, upright and decoded. Raises MediaError as `load_picture` does."""
    from PIL import Image, ImageOps

    with _explained(path), Image.open(path) as opened:
        _refuse_huge(path, opened.width * opened.height, opened.size, 1)
        return ImageOps.exif_transpose(opened).copy()


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of the first frame, upright, by the header alone. Raises MediaError as `load_picture` does."""
    from PIL import Image
    from PIL.ExifTags import Base

    with _explained(path), Image.open(path) as opened:
        _refuse_huge(path, opened.width * opened.height, opened.size, 1)
        lies = opened.getexif().get(Base.Orientation, 1) in range(5, 9)
        return opened.size[::-1] if lies else opened.size


def check_picture(data: bytes, name: str) -> str:
    """The format (`PNG`, `JPEG`, …) of the bytes of a picture file, which are decoded, and let go.

    Raises MediaError when they are none that can be opened here.
    """
    from PIL import Image

    path = Path(name)
    with _explained(path), Image.open(io.BytesIO(data)) as opened:
        count = getattr(opened, "n_frames", 1) if opened.format in ANIMATED_FORMATS else 1
        _refuse_huge(path, opened.width * opened.height * count, opened.size, count)
        opened.load()
        return opened.format or ""


def _frames(path: Path, data: bytes | None = None) -> list[Image]:
    """The upright frames of a file, or of `data` under its name, that have the size of the first one, decoded."""
    from PIL import Image, ImageOps, ImageSequence

    source = path if data is None else io.BytesIO(data)
    with _explained(path), Image.open(source) as opened:
        count = getattr(opened, "n_frames", 1) if opened.format in ANIMATED_FORMATS else 1
        _refuse_huge(path, opened.width * opened.height * count, opened.size, count)
        if count == 1:
            return [ImageOps.exif_transpose(opened)]
        upright = (ImageOps.exif_transpose(frame) for frame in ImageSequence.Iterator(opened))
        frames = [frame.copy() for frame in upright]
    return [frame for frame in frames if frame.size == frames[0].size]


def _refuse_huge(path: Path, pixels: int, size: tuple[int, int], count: int) -> None:
    if pixels > MAX_PIXELS:
        frames = f" in {count} frames" if count > 1 else ""
        raise _too_large(path, f"is {size[0]:,} × {size[1]:,} pixels{frames}")


def _too_large(path: Path, what: str) -> MediaError:
    return MediaError(
        f"{path.name} {what}; at most {MAX_PIXELS:,} pixels are opened (for one square picture, 9,459 × 9,459). "
        "Scale it down or crop it first."
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn whatever the decoders raise for a broken file into a MediaError."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except MediaError:
        raise
    except Image.DecompressionBombError as error:
        found = re.search(r"\d+", str(error))
        raise _too_large(path, f"has {int(found[0]):,} pixels" if found else "has too many pixels") from error
    except UnidentifiedImageError as error:
        raise MediaError(
            f"{path.name} is not a picture in a format known here (PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF). "
            "Check what the file really is; its name alone does not make it a picture."
        ) from error
    except FileNotFoundError as error:
        raise MediaError(f"There is no picture at {path}. Check the name.") from error
    except (IsADirectoryError, PermissionError) as error:
        raise MediaError(f"Cannot read {path}: {error.strerror}. Give a picture file that you may read.") from error
    except Exception as error:  # decoders of broken files raise nearly anything: OSError, SyntaxError, struct.error, …
        raise MediaError(
            f"{path.name} begins like a picture but cannot be decoded ({error}). "
            "The file is truncated or damaged; copy or export it again."
        ) from error
