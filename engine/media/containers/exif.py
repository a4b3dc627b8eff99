"""EXIF strings `key:text`, in the directories of a TIFF header (TIFF 6.0, section 2; Exif 2.32, 4.6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_EXIF_DIRECTORY: Final = 0x8769
_TEXTUAL: Final = (1, 2, 7)
"""BYTE, ASCII and UNDEFINED, a byte each."""
_MAX_ENTRIES: Final = 1000


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of each string of the form `key:text` in EXIF data, with or without `Exif\\0\\0` before it."""
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    values = list(_strings(data, order, first))
    for pointer in [value for value in values if isinstance(value, int)][:1]:
        values += _strings(data, order, pointer)
    for value in values:
        if isinstance(value, bytes):
            key, colon, text = value.rstrip(b"\0").decode("utf-8", "replace").partition(":")
            if colon:
                yield key, text


def _strings(data: bytes, order: str, offset: int) -> Iterator[bytes | int]:
    """The strings of a directory, and the places of the Exif directories it points to."""
    if offset + 2 > len(data):
        return
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    for index in range(min(count, _MAX_ENTRIES)):
        entry = offset + 2 + 12 * index
        if entry + 12 > len(data):
            return
        tag, kind, length, place = struct.unpack_from(f"{order}HHII", data, entry)
        if tag == _EXIF_DIRECTORY:
            yield place
        elif kind in _TEXTUAL:
            yield data[entry + 8 : entry + 8 + length] if length <= 4 else data[place : place + length]
