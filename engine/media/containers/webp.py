"""WebP: the chunk EXIF of a RIFF file (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from engine.media.containers import exif

_MAX_CHUNKS: Final = 100_000


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of the EXIF strings."""
    offset = 12
    for _ in range(_MAX_CHUNKS):
        if offset + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, offset)
        if kind == b"EXIF":
            yield from exif.texts(data[offset + 8 : offset + 8 + length])
            return
        offset += 8 + length + length % 2
