"""MP3: frames TXXX of an ID3v2 tag (id3.org, versions 2.3 and 2.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_ENCODINGS: Final = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_UNSYNCHRONISED, _EXTENDED = 0x80, 0x40
_MAX_FRAMES: Final = 10_000


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Description and text of the user-defined text frames."""
    if len(data) < 10:
        return
    version, flags = data[3], data[5]
    body = data[10 : 10 + _safe_size(data[6:10])]
    if flags & _UNSYNCHRONISED and version < 4:
        body = body.replace(b"\xff\0", b"\xff")
    offset = _extended_size(body, version) if flags & _EXTENDED else 0
    for _ in range(_MAX_FRAMES):
        if offset + 10 > len(body) or not body[offset]:
            return
        kind, size = struct.unpack_from(">4s4s", body, offset)
        length = _safe_size(size) if version >= 4 else int.from_bytes(size)
        if kind == b"TXXX":
            yield from _user_text(body[offset + 10 : offset + 10 + length])
        offset += 10 + length


def _user_text(frame: bytes) -> Iterator[tuple[str, str]]:
    if frame and frame[0] < len(_ENCODINGS):
        text = frame[1:].decode(_ENCODINGS[frame[0]], "replace")
        key, zero, value = text.partition("\0")
        if zero:
            yield key, value.rstrip("\0").removeprefix("\ufeff")


def _safe_size(data: bytes) -> int:
    """Seven bits of each byte."""
    return sum((byte & 0x7F) << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=False))


def _extended_size(body: bytes, version: int) -> int:
    return _safe_size(body[:4]) if version >= 4 else 4 + int.from_bytes(body[:4])
