"""EXIF strings `key:text`, in the directories of a TIFF header (TIFF 6.0, section 2; Exif 2.32, 4.6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_EXIF_DIRECTORY: Final = 0x8769
_TEXTUAL: Final = (1, 2, 7)
"""BYTE, ASCII and UNDEFINED, a byte each."""
_MAX_ENTRIES: Final = 1000
_LONGEST_KEY: Final = 20


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of each string of the form `key:text` in EXIF data, with or without `Exif\\0\\0` before it."""
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    entries = list(_entries(data, order, first))
    for _, _, place in [entry for entry in entries if entry[0] == _EXIF_DIRECTORY][:1]:
        entries += _entries(data, order, place)
    room = len(data)  # entries may all mean the same bytes
    for tag, length, place in entries:
        head = data[place : place + _LONGEST_KEY]
        if tag != _EXIF_DIRECTORY and b":" in head and length <= room:
            room -= length
            text = data[place : place + length].rstrip(b"\0").decode("utf-8", "replace")
            key, _, rest = text.partition(":")
            yield key, rest


def _entries(data: bytes, order: str, offset: int) -> Iterator[tuple[int, int, int]]:
    """Tag, length and place of each string of a directory, and of the pointer to the Exif directory."""
    if offset + 2 > len(data):
        return
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    for index in range(min(count, _MAX_ENTRIES)):
        entry = offset + 2 + 12 * index
        if entry + 12 > len(data):
            return
        tag, kind, length, place = struct.unpack_from(f"{order}HHII", data, entry)
        if tag == _EXIF_DIRECTORY or kind in _TEXTUAL:
            yield tag, length, place if length > 4 or tag == _EXIF_DIRECTORY else entry + 8
