"""Pictures to files of any kind: what a kind of file makes of numbers is its own business, names and numbers are alike."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.media.atomic import Seal, number_of, write_numbered
from engine.media.errors import MediaError
from engine.media.names import expand_pattern, place

if TYPE_CHECKING:
    from torch import Tensor

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_FORMATS: Final = {1: "gray16be", 3: "rgb48be", 4: "rgba64be"}


def save_each(
    images: Tensor,
    folder: Path,
    prefix: str,
    suffix: str,
    encode: Callable[[Tensor], bytes],
    prompt: Mapping[str, Any] | None = None,
    seal: Seal | None = None,
) -> list[Path]:
    """Write what `encode` makes of each image (H, W, C) of (B, H, W, C) as `prefix_00001_` + `suffix`, numbered on.

    The prefix is as of `engine.media.png.save_pictures`. Raises MediaError for a shape that is no picture, a prefix that
    leads out, a full disk, a folder that cannot be written.
    """
    require_pictures(images, (1, 3, 4), "Expected images")
    now = datetime.now()
    paths: list[Path] = []
    number = 0
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        name = expand_pattern(prefix, width=width, height=height, prompt=prompt, now=now, batch_index=index)
        target, stem = place(folder, name)
        paths.append(write_numbered(target, stem, suffix, encode(image), number + 1, seal))
        number = number_of(paths[-1], stem)
    return paths


def require_pictures(images: Tensor, channels: tuple[int, ...], what: str) -> None:
    """Raise MediaError, which begins with `what`, for anything but images (B, H, W, C) of so many `channels`."""
    shape = tuple(getattr(images, "shape", ()))
    if len(shape) != 4 or shape[3] not in channels or 0 in shape[1:]:
        known = " or ".join(map(str, channels))
        raise MediaError(f"{what} of shape (B, H, W, C) with C = {known} and no empty side, got {shape}.")


def encode_png16(image: Tensor, prompt: Mapping[str, Any] | None, workflow: Mapping[str, Any] | None) -> bytes:
    """An image (H, W, C), values 0..1, C = 1, 3 or 4, as a PNG file of 16 bits, rounded; with the documents as text chunks."""
    import av
    import numpy as np

    values = image.detach().float().cpu().nan_to_num(0.0).clamp(0, 1).double().mul(65535).round()
    pixels = values.numpy().astype(np.uint16)
    height, width, channels = pixels.shape
    kind = _FORMATS[channels]
    plane = np.ascontiguousarray(pixels[..., 0] if channels == 1 else pixels)
    frame = av.VideoFrame.from_ndarray(plane, format=kind.replace("be", "le")).reformat(format=kind)
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, kind
    encoder.options = {"pred": "mixed", "compression_level": "4"}
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    return with_texts(data, {"prompt": prompt, "workflow": workflow})


def with_texts(png: bytes, texts: Mapping[str, Any]) -> bytes:
    """A PNG file with JSON as text chunks behind its header; what a file says of its resolution is left out."""
    chunks, at = [_SIGNATURE], len(_SIGNATURE)
    while at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind = png[at + 4 : at + 8]
        if kind not in (b"pHYs", b"tIME"):
            chunks.append(png[at : at + 12 + length])
        if kind == b"IHDR":
            named = [(name, value) for name, value in texts.items() if value is not None]
            chunks += [
                _chunk(b"tEXt", name.encode("latin-1") + b"\0" + json.dumps(value).encode()) for name, value in named
            ]
        at += 12 + length
    return b"".join(chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
