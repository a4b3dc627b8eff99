"""OpenEXR: the text attributes of the header ("OpenEXR File Layout", headers)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

SIGNATURE: Final = b"\x76\x2f\x31\x01"
_MAX_ATTRIBUTES: Final = 10_000
_MAX_NAME: Final = 256


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Name and text of each attribute of the type string; a header that is cut off ends early."""
    at = 8  # the signature and the version
    for _ in range(_MAX_ATTRIBUTES):
        name_end = data.find(b"\0", at, at + _MAX_NAME)
        kind_end = data.find(b"\0", name_end + 1, name_end + 1 + _MAX_NAME)
        start = kind_end + 5
        if name_end <= at or kind_end < 0 or start > len(data):  # an empty name ends the header
            return
        (length,) = struct.unpack_from("<i", data, kind_end + 1)
        if length < 0 or start + length > len(data):
            return
        if data[name_end + 1 : kind_end] == b"string":
            yield data[at:name_end].decode("latin-1"), data[start : start + length].decode("utf-8", "replace")
        at = start + length
