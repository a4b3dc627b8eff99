"""AVIF and HEIF: the EXIF item of the `meta` box (ISO/IEC 23008-12, annex A; ISO/IEC 14496-12, 8.11)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from engine.media.containers import exif
from engine.media.containers.iso import boxes

BRANDS: Final = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
_MAX_ITEMS: Final = 10_000
_MAX_EXTENTS: Final = 10_000
"""Of all items: entries may have no bytes of their own."""
_IN_FILE, _IN_BOX = 0, 1
"""Where the bytes of an item are: at a place of the file, or in the box `idat`."""


class _Item(NamedTuple):
    method: int
    extents: list[tuple[int, int]]
    """Place and length of each part; a length of 0 reaches to the end."""


def is_picture(data: bytes) -> bool:
    """Whether the first box of a file names a brand of still pictures."""
    if data[4:8] != b"ftyp":
        return False
    size = min(int.from_bytes(data[:4]), 256)
    return any(data[at : at + 4] in BRANDS for at in (8, *range(16, size, 4)))


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of the EXIF strings of a whole file."""
    meta = next((body for kind, body in boxes(data) if kind == b"meta"), b"")
    inner = dict(boxes(meta[4:]))  # version and flags
    wanted = set(_exif_items(inner.get(b"iinf", b"")))
    room = len(data)  # items may all mean the same bytes
    for item_id, item in places_of(inner.get(b"iloc", b"")):
        if item_id not in wanted or item.method not in (_IN_FILE, _IN_BOX):
            continue
        body = _joined(data if item.method == _IN_FILE else inner.get(b"idat", b""), item.extents, room)
        room -= len(body)
        skipped = int.from_bytes(body[:4])  # to the TIFF header, over an `Exif\0\0` that may stand there
        yield from exif.texts(body[4 + skipped :])


def _joined(source: bytes, extents: list[tuple[int, int]], room: int) -> bytes:
    parts: list[bytes] = []
    for place, length in extents:
        part = source[place : place + length if length else len(source)]
        room -= len(part)
        if room < 0:
            return b""
        parts.append(part)
    return b"".join(parts)


def _exif_items(body: bytes) -> Iterator[int]:
    """The ids of the EXIF items."""
    if len(body) < 6:
        return
    for kind, entry in boxes(body[6 if body[0] == 0 else 8 :]):
        wide = entry[:1] == b"\3"  # version 3 has ids of 32 bits, version 2 of 16
        if kind == b"infe" and entry[:1] in (b"\2", b"\3") and entry[8 if not wide else 10 :][:4] == b"Exif":
            yield int.from_bytes(entry[4 : 8 if wide else 6])


def places_of(body: bytes) -> Iterator[tuple[int, _Item]]:
    """Id and place of each item; a box that is cut off ends early."""
    try:
        yield from _Reader(body).items()
    except struct.error:
        return


class _Reader:
    """Reads numbers of the widths that the box `iloc` announces."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at, self._extents = body, 0, 0

    def items(self) -> Iterator[tuple[int, _Item]]:
        """Each item. Raises struct.error at the end of the data."""
        version = self._number(1)
        self._number(3)
        sizes = self._number(2)
        offset, length, base, index = ((sizes >> shift) & 0xF for shift in (12, 8, 4, 0))
        for _ in range(min(self._number(2 if version < 2 else 4), _MAX_ITEMS)):
            item_id = self._number(2 if version < 2 else 4)
            method = self._number(2) & 0xF if version else _IN_FILE
            self._number(2)
            start = self._number(base)
            count = self._number(2)
            self._extents += count
            if self._extents > _MAX_EXTENTS:
                return
            extents = []
            for _ in range(count):
                if version:
                    self._number(index)
                extents.append((start + self._number(offset), self._number(length)))
            yield item_id, _Item(method, extents)

    def _number(self, size: int) -> int:
        end = self._at + size
        if end > len(self._body):
            raise struct.error("cut off")
        value = int.from_bytes(self._body[self._at : end])
        self._at = end
        return value
