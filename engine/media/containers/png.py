"""PNG: the chunks tEXt, zTXt and iTXt (ISO/IEC 15948, 11.3.4), and eXIf."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from engine.media.containers import exif

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_TEXTUAL: Final = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")
MAX_TEXT: Final = 16 * 1024 * 1024
"""What a compressed text may come to; the rest is cut off."""
MAX_CHUNKS: Final = 100_000


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Keyword and text of each text chunk and EXIF string; a damaged or truncated one is passed over."""
    offset = len(SIGNATURE)
    room = MAX_TEXT
    for _ in range(MAX_CHUNKS):
        if offset + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, offset)
        body = data[offset + 8 : offset + 8 + length] if kind in _TEXTUAL else b""
        offset += length + 12
        if len(body) != length:
            continue
        if kind == b"eXIf":
            yield from exif.texts(body)
        elif body:
            keyword, _, rest = body.partition(b"\0")
            text = _chunk_text(kind, rest, room)
            if text is not None:
                room -= len(text) if kind != b"tEXt" else 0
                yield keyword.decode("latin-1"), text


def _chunk_text(kind: bytes, rest: bytes, room: int) -> str | None:
    if kind == b"tEXt":
        return decoded(rest)
    if kind == b"zTXt":
        return decoded(_inflated(rest[1:], room))
    text = rest[2:].split(b"\0", 2)[-1]
    return decoded(_inflated(text, room) if rest[:1] == b"\1" else text)


def decoded(data: bytes | None) -> str | None:
    """UTF-8, which some writers put into Latin-1 chunks too; else Latin-1."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _inflated(data: bytes, room: int) -> bytes | None:
    if room <= 0:
        return None
    try:
        return zlib.decompressobj().decompress(data, room)
    except zlib.error:
        return None
