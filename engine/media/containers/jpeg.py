"""JPEG: EXIF in the segment APP1 (ISO/IEC 10918-1, B.2.4.6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from engine.media.containers import exif

_APP1: Final = 0xE1
_START_OF_SCAN: Final = 0xDA
_MAX_SEGMENTS: Final = 10_000


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of the EXIF strings; nothing after the picture's own data is looked at."""
    offset = 2
    for _ in range(_MAX_SEGMENTS):
        if offset + 4 > len(data) or data[offset] != 0xFF:
            return
        marker, length = struct.unpack_from(">xBH", data, offset)
        if marker == _START_OF_SCAN or length < 2:
            return
        body = data[offset + 4 : offset + 2 + length]
        if marker == _APP1 and body.startswith(b"Exif\0\0"):
            yield from exif.texts(body)
        offset += 2 + length
