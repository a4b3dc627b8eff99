"""Writes SentencePiece models as the library does: protocol buffers."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, value: bytes | float | int) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def model(pieces: Iterable[tuple[str, float, int]], trainer: Mapping[int, Any], rules: Mapping[int, Any]) -> bytes:
    """A SentencePiece model as the library writes it."""
    listed = b"".join(field(1, field(1, t.encode()) + field(2, float(s)) + field(3, k)) for t, s, k in pieces)
    facts = (b"".join(field(number, value) for number, value in one.items()) for one in (trainer, rules))
    return listed + field(2, next(facts)) + field(3, next(facts))
