"""WebM and Matroska: Segment / Tags / Tag / SimpleTag (RFC 9559; EBML, RFC 8794)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_SEGMENT, _CLUSTER, _TAGS, _TAG, _SIMPLE = 0x18538067, 0x1F43B675, 0x1254C367, 0x7373, 0x67C8
_NAME, _STRING = 0x45A3, 0x4487
_MAX_ELEMENTS: Final = 100_000
_UNKNOWN: Final = -1


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of the tags of a whole file. Keys are in capitals, as Matroska has it."""
    for kind, start, end in _elements(data, 0, len(data)):
        if kind == _TAGS:
            for inner, tag_start, tag_end in _elements(data, start, end):
                if inner == _TAG:
                    yield from _tag(data, tag_start, tag_end)


def _tag(data: bytes, start: int, end: int) -> Iterator[tuple[str, str]]:
    for kind, inner_start, inner_end in _elements(data, start, end):
        if kind == _SIMPLE:
            parts = {name: data[first:last] for name, first, last in _elements(data, inner_start, inner_end)}
            if _NAME in parts and _STRING in parts:
                name, text = (parts[key].rstrip(b"\0").decode("utf-8", "replace") for key in (_NAME, _STRING))
                yield name, text


def _elements(data: bytes, offset: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Id, start and end of the content of each element. The Segment, and clusters of unknown size, are entered."""
    for _ in range(_MAX_ELEMENTS):
        kind, offset = _number(data, offset, end, keep_marker=True)
        size, offset = _number(data, offset, end)
        if kind < 0 or offset > end:
            return
        if kind == _SEGMENT or (kind == _CLUSTER and size == _UNKNOWN):
            continue
        if size == _UNKNOWN:
            return
        yield kind, offset, min(offset + size, end)
        offset += size


def _number(data: bytes, offset: int, end: int, *, keep_marker: bool = False) -> tuple[int, int]:
    """A number of variable length and where it ends: _UNKNOWN when all its bits are set; past `end` when it is cut off."""
    if offset >= end or not data[offset]:
        return _UNKNOWN, end + 1
    length = 9 - data[offset].bit_length()
    if offset + length > end:
        return _UNKNOWN, end + 1
    value = int.from_bytes(data[offset : offset + length])
    if keep_marker:
        return value, offset + length
    value &= (1 << 7 * length) - 1
    return (_UNKNOWN if value == (1 << 7 * length) - 1 else value), offset + length
