"""EXIF strings `key:text` and the user comment, in the directories of a TIFF header (TIFF 6.0, section 2; Exif 2.32, 4.6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_EXIF_DIRECTORY: Final = 0x8769
_USER_COMMENT: Final = 0x9286
_TEXTUAL: Final = (1, 2, 7)
"""BYTE, ASCII and UNDEFINED, a byte each."""
_MAX_ENTRIES: Final = 1000
_LONGEST_KEY: Final = 20
_CODE: Final = 8
"""Bytes before a user comment that name its character code."""
_NAMED_FORMS: Final = ("prompt", "workflow")


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of each string of the form `key:text` in EXIF data, with or without `Exif\\0\\0` before it.

    A user comment that has no such key is called `comment` where it is a JSON object, else `parameters`: other programs
    write their settings there.
    """
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
        if tag == _EXIF_DIRECTORY or length > room:
            continue
        body = data[place : place + length]
        if tag == _USER_COMMENT:
            room -= length
            yield from _comment(body, order)
        elif b":" in body[:_LONGEST_KEY]:
            room -= length
            key, _, rest = body.rstrip(b"\0").decode("utf-8", "replace").partition(":")
            yield key, rest


def _comment(body: bytes, order: str) -> Iterator[tuple[str, str]]:
    """What a user comment says, and what to call it."""
    text = _decoded(body, order).strip("\0 \t\r\n")
    key, colon, rest = text.partition(":")
    if colon and key.lower() in _NAMED_FORMS:
        yield key, rest
    elif text:
        yield ("comment" if text.startswith("{") else "parameters"), text


def _decoded(body: bytes, order: str) -> str:
    """The text of a user comment, by the character code named before it; some writers name none."""
    code, rest = body[:_CODE], body[_CODE:]
    if code.startswith(b"UNICODE"):
        return _utf16(rest, order)
    if code.startswith(b"JIS\0"):
        return rest.decode("iso2022_jp" if b"\x1b" in rest else "shift_jis", "replace")
    if code == b"ASCII\0\0\0" or code == bytes(_CODE):
        return rest.decode("utf-8", "replace")
    return body.decode("utf-8", "replace")


def _utf16(data: bytes, order: str) -> str:
    """UTF-16 in the byte order that it is in: that of the EXIF data is often not the one in which it was written."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    high, low = data[0::2].count(0), data[1::2].count(0)
    big = high > low if high != low else order == ">"
    return data.decode("utf-16-be" if big else "utf-16-le", "replace")


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
