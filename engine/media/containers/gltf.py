"""GLB: `asset.extras` of the JSON chunk (glTF 2.0, section 4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from engine.media.containers.parts import as_texts, json_object

SIGNATURE: Final = b"glTF"
_HEADER, _CHUNK = 12, 8
_MAX_JSON: Final = 64 * 1024 * 1024


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of what the file's asset says beyond the standard. Raises MediaError for a JSON chunk that is not whole."""
    if len(data) < _HEADER + _CHUNK:
        return
    length, kind = struct.unpack_from("<I4s", data, _HEADER)
    if kind != b"JSON":
        return
    scene = json_object(data[_HEADER + _CHUNK :], length, _MAX_JSON, "JSON chunk")
    asset = scene.get("asset")
    yield from as_texts(asset.get("extras") if isinstance(asset, dict) else None)
