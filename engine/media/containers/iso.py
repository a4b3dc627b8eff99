"""MP4 and MOV: `moov/meta` or `moov/udta/meta` with `keys` and `ilst` (ISO/IEC 14496-12; QuickTime File Format)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_MAX_BOXES: Final = 100_000
_ITUNES: Final = {b"\xa9cmt": "comment", b"desc": "description", b"\xa9nam": "title"}
_UTF8: Final = 1
"""The type of a value that is UTF-8 text; 0 is not told."""


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of the metadata items of a whole file."""
    for kind, movie in boxes(data):
        if kind == b"moov":
            for inner, body in boxes(movie):
                if inner == b"meta":
                    yield from _items(body)
                elif inner == b"udta":
                    yield from _user_data(body)
            return


def _user_data(body: bytes) -> Iterator[tuple[str, str]]:
    for kind, value in boxes(body):
        if kind == b"meta":
            yield from _items(value)
        elif kind in _ITUNES and len(value) >= 4:  # QuickTime: u16 length, u16 language, text
            yield _ITUNES[kind], value[4 : 4 + int.from_bytes(value[:2])].decode("utf-8", "replace")


def _items(body: bytes) -> Iterator[tuple[str, str]]:
    # In MP4 a version and flags stand before the first box, in QuickTime they do not.
    found = dict(boxes(body if body[4:8] == b"hdlr" else body[4:]))
    names = _names(found.get(b"keys", b""))
    for kind, item in boxes(found.get(b"ilst", b"")):
        inner = dict(boxes(item))
        key = (
            names.get(int.from_bytes(kind))
            or _ITUNES.get(kind)
            or inner.get(b"name", b"")[4:].decode("utf-8", "replace")
        )
        value = inner.get(b"data", b"")
        if key and len(value) >= 8 and int.from_bytes(value[:4]) in (0, _UTF8):
            yield key, value[8:].decode("utf-8", "replace")


def _names(body: bytes) -> dict[int, str]:
    """The keys by their number, which counts from 1."""
    entries = boxes(body[8:])  # version and flags, count; then boxes whose kind is the namespace
    return {number: name.decode("utf-8", "replace") for number, (_, name) in enumerate(entries, 1)}


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box but `mdat`, whose content is left out; a truncated one ends early."""
    offset = 0
    for _ in range(_MAX_BOXES):
        if offset + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, offset)
        head = 8
        if size == 1 and offset + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, offset + 8)
            head = 16
        end = offset + size if size else len(data)
        if end < offset + head:
            return
        yield kind, data[offset + head : end] if kind != b"mdat" else b""
        offset = end
