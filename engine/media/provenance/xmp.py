"""The IPTC digital source type as XMP in PNG, JPEG, WebP and MP4 files, written into bytes and read from them.

XMP specification part 3 (ISO 16684-1): PNG has it as the iTXt chunk `XML:com.adobe.xmp`, JPEG as an APP1 segment, WebP as the
chunk `XMP ` of an extended file, MP4 as a box `uuid` at the end.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from engine.media.errors import MediaError

NAMESPACE: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
MOST: Final = 1024**2
"""Bytes of XMP that are read."""
_PARTS: Final = 100_000
"""Chunks, segments or boxes of a file that are looked at."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_KEYWORD: Final = b"XML:com.adobe.xmp\0"
_JPEG: Final = b"http://ns.adobe.com/xap/1.0/\0"
_MP4: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_HAS_ALPHA, _HAS_XMP = 0x10, 0x04
_SOURCE: Final = re.compile(
    rb"DigitalSourceType\s{0,20}=\s{0,20}[\"']([^\"'<>]{1,300})[\"']|DigitalSourceType\s{0,20}>\s{0,20}([^<>\s]{1,300})\s{0,20}<"
    rb"|DigitalSourceType\s[^<>]{0,200}resource\s{0,20}=\s{0,20}[\"']([^\"'<>]{1,300})[\"']"
)


def packet(source: str, agent: str) -> bytes:
    """An XMP packet with the digital source type `source`, an address, and the program that made the file."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{NAMESPACE}" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        f'Iptc4xmpExt:DigitalSourceType="{source}" xmp:CreatorTool="{agent}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def can_carry(suffix: str) -> bool:
    """Whether files of that kind can be given XMP here."""
    return suffix in (".png", ".jpg", ".jpeg", ".webp", ".mp4")


def with_xmp(data: bytes, xmp: bytes) -> bytes:
    """The bytes of a PNG, JPEG or WebP file with XMP, in place of what it had. Raises MediaError for other files."""
    if data.startswith(_PNG):
        return _in_png(data, xmp)
    if data.startswith(b"\xff\xd8\xff"):
        body = _JPEG + xmp
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _in_webp(data, xmp)
    raise MediaError("Only PNG, JPEG and WebP files can be given XMP.")


def mp4_box(xmp: bytes) -> bytes:
    """The box that stands at the end of an MP4 file."""
    return struct.pack(">I4s", 24 + len(xmp), b"uuid") + _MP4 + xmp


def source_type(data: bytes) -> str:
    """The digital source type in the XMP of a file's bytes; "" where there is none."""
    for found in _packets(data):
        if (match := _SOURCE.search(found[:MOST])) is not None:
            return next(group for group in match.groups() if group).decode("utf-8", "replace").strip()
    return ""


def _packets(data: bytes) -> Iterator[bytes]:
    if data.startswith(_PNG):
        for kind, body in _chunks(data):
            if kind == b"iTXt" and body.startswith(_KEYWORD):
                packed, rest = body[len(_KEYWORD) : len(_KEYWORD) + 1], body[len(_KEYWORD) + 2 :].split(b"\0", 2)[-1]
                yield _inflated(rest) if packed == b"\1" else rest
    elif data.startswith(b"\xff\xd8\xff"):
        yield from (body[len(_JPEG) :] for body in _segments(data) if body.startswith(_JPEG))
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        yield from (body for kind, body in _riff(data) if kind == b"XMP ")
    elif data[4:8] == b"ftyp":
        yield from (body[16:] for kind, body in _boxes(data) if kind == b"uuid" and body.startswith(_MP4))


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MOST)
    except zlib.error:
        return b""


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    for _ in range(_PARTS):
        if at + 12 > len(png):
            return
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind, png[at + 8 : at + 8 + length] if kind != b"IDAT" else b""
        at += 12 + length


def _in_png(png: bytes, xmp: bytes) -> bytes:
    """The packet goes behind the header; the rest stays byte for byte."""
    body = _KEYWORD + b"\0\0\0\0" + xmp
    chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    head = len(_PNG) + 25
    return png[:head] + chunk + png[head:]


def _segments(jpeg: bytes) -> Iterator[bytes]:
    at = 2
    for _ in range(_PARTS):
        if at + 4 > len(jpeg) or jpeg[at] != 0xFF or jpeg[at + 1] in (0xDA, 0xD9):
            return
        (length,) = struct.unpack_from(">H", jpeg, at + 2)
        if jpeg[at + 1] == 0xE1:
            yield jpeg[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def _riff(webp: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    for _ in range(_PARTS):
        if at + 8 > len(webp):
            return
        kind, length = struct.unpack_from("<4sI", webp, at)
        yield kind, webp[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _in_webp(webp: bytes, xmp: bytes) -> bytes:
    chunks = [(kind, body) for kind, body in _riff(webp) if kind != b"XMP "]
    if chunks[0][0] == b"VP8X":
        head = chunks.pop(0)[1]
    else:
        head = _webp_head(*chunks[0])
    head = bytes([head[0] | _HAS_XMP]) + head[1:]
    parts = b"".join(
        struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) % 2)
        for kind, body in ((b"VP8X", head), *chunks, (b"XMP ", xmp))
    )
    return b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts


def _webp_head(kind: bytes, body: bytes) -> bytes:
    """The extended header of a file that has none yet (WebP container specification)."""
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
    else:
        wide, high = struct.unpack_from("<HH", body, 6)
        width, height, alpha = (wide & 0x3FFF) - 1, (high & 0x3FFF) - 1, 0
    return struct.pack("<I", _HAS_ALPHA * alpha) + width.to_bytes(3, "little") + height.to_bytes(3, "little")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    for _ in range(_PARTS):
        if at + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        size = size or len(data) - at
        yield kind, data[at + head : at + size] if kind == b"uuid" else b""
        at += max(size, 8)
