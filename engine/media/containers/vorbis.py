"""FLAC (RFC 9639) and OGG (RFC 3533): comments in the way of Vorbis, `KEY=text`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_COMMENT_BLOCK: Final = 4
_HEADS: Final = (b"\x03vorbis", b"OpusTags", b"\x81theora", b"Speex   ")
_MAX_COMMENTS: Final = 1000
_MAX_PAGES: Final = 2000
_MAX_PACKET: Final = 16 * 1024 * 1024


def flac_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of the comments of a FLAC file."""
    yield from _blocks(data, len(b"fLaC"))


def ogg_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of the comments of an OGG file of Vorbis, Opus, Theora or FLAC: the second packet of each stream."""
    for packet in _second_packets(data):
        head = next((head for head in _HEADS if packet.startswith(head)), None)
        if head is not None:
            yield from _comments(packet[len(head) :])
        else:
            yield from _blocks(packet, 0)


def _blocks(data: bytes, offset: int) -> Iterator[tuple[str, str]]:
    """The comments among FLAC's metadata blocks, of which the last one says so by its highest bit."""
    for _ in range(128):
        if offset + 4 > len(data):
            return
        kind, length = data[offset], int.from_bytes(data[offset + 1 : offset + 4])
        if kind & 0x7F == _COMMENT_BLOCK:
            yield from _comments(data[offset + 4 : offset + 4 + length])
        if kind & 0x80:
            return
        offset += 4 + length


def _comments(data: bytes) -> Iterator[tuple[str, str]]:
    vendor, offset = _sized(data, 0)
    if vendor is None or offset + 4 > len(data):
        return
    (count,) = struct.unpack_from("<I", data, offset)
    offset += 4
    for _ in range(min(count, _MAX_COMMENTS)):
        comment, offset = _sized(data, offset)
        if comment is None:
            return
        key, equals, text = comment.decode("utf-8", "replace").partition("=")
        if equals:
            yield key, text


def _sized(data: bytes, offset: int) -> tuple[bytes | None, int]:
    """The bytes whose length stands before them, and where they end; None when they are not all there."""
    if offset + 4 > len(data):
        return None, offset
    end = offset + 4 + int(struct.unpack_from("<I", data, offset)[0])
    return (data[offset + 4 : end], end) if end <= len(data) else (None, offset)


def _second_packets(data: bytes) -> Iterator[bytes]:
    """The second packet of each logical stream; it may go on over pages."""
    packets: dict[int, int] = {}
    parts: dict[int, bytearray] = {}
    offset = 0
    for _ in range(_MAX_PAGES):
        if data[offset : offset + 4] != b"OggS" or offset + 27 > len(data):
            return
        serial, count = struct.unpack_from("<14xI8xB", data, offset)
        lengths = data[offset + 27 : offset + 27 + count]
        offset += 27 + count
        for length in lengths:
            number = packets.setdefault(serial, 0)
            if number == 1:
                part = parts.setdefault(serial, bytearray())
                part += data[offset : offset + length]
                if length < 255 or len(part) > _MAX_PACKET:
                    yield bytes(parts.pop(serial))
            offset += length
            if length < 255:
                packets[serial] = number + 1
