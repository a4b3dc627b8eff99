"""OpenEXR files: one picture of light in scanlines, compressed without loss.

The format is that of "OpenEXR File Layout" and of the technical introduction of the Academy Software Foundation.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from engine.media.color_spaces import hlg_to_scene, primaries, srgb_to_linear

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Depth = Literal["16-bit float", "32-bit float"]

_MAGIC: Final = 20000630
_ZIP: Final = 3
_LINES: Final = 16
"""Scanlines that are compressed together."""
_HALF, _FLOAT = 1, 2
_LARGEST_HALF: Final = 65504.0
_NAMES: Final = {1: ("Y",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}

GAMUTS: Final = {"sRGB": "rec709", "HDR": "rec2020", "linear": "rec709", "linear ACEScg": "ap1"}
"""The spaces that pictures may be in, each with the primaries that the file names."""


def scene_linear(image: Tensor, space: str) -> Tensor:
    """The light of an image (H, W, C) in one of GAMUTS, float32, under the same primaries; alpha stays.

    sRGB and HLG codes are decoded (BT.2100's inverse OETF, without the display's gamma); the linear ones are what they are.
    """
    import torch

    decode = {"sRGB": srgb_to_linear, "HDR": hlg_to_scene}.get(space)
    values = image.detach().float().cpu()
    if decode is None:
        return values
    return torch.cat([decode(values[..., :3]), values[..., 3:]], dim=-1)


def encode_exr(image: Tensor, depth: Depth, gamut: str, told: Mapping[str, Any]) -> bytes:
    """Light (H, W, C), C = 1, 3 or 4, as the bytes of an OpenEXR file, with JSON documents `told` as text attributes.

    16-bit floats reach ±65504, to which values are cut. Alpha is written beside colours that are not multiplied by it.
    """
    import numpy as np

    pixels = image.numpy()
    height, width, channels = pixels.shape
    kind, dtype = (_HALF, "<f2") if depth == "16-bit float" else (_FLOAT, "<f4")
    if kind == _HALF:
        pixels = np.clip(pixels, -_LARGEST_HALF, _LARGEST_HALF)
    planes = sorted(zip(_NAMES[channels], np.moveaxis(pixels.astype(dtype), -1, 0)), key=lambda one: one[0])
    head = _header([name for name, _ in planes], kind, (width, height), gamut, told)
    blocks = [_block([plane[y : y + _LINES] for _, plane in planes], y) for y in range(0, height, _LINES)]
    offsets, at = [], len(head) + 8 * len(blocks)
    for block in blocks:
        offsets.append(at)
        at += len(block)
    return b"".join([head, struct.pack(f"<{len(offsets)}Q", *offsets), *blocks])


def _header(names: list[str], kind: int, size: tuple[int, int], gamut: str, told: Mapping[str, Any]) -> bytes:
    width, height = size
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    channels = b"".join(name.encode() + b"\0" + struct.pack("<iB3xii", kind, 0, 1, 1) for name in names) + b"\0"
    chromaticities = struct.pack("<8f", *(side for point in primaries(gamut) for side in point))
    attributes = [
        ("channels", "chlist", channels),
        ("chromaticities", "chromaticities", chromaticities),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
        *((name, "string", json.dumps(value).encode()) for name, value in told.items() if value is not None),
    ]
    parts = [
        name.encode() + b"\0" + what.encode() + b"\0" + struct.pack("<i", len(body)) + body
        for name, what, body in attributes
    ]
    return struct.pack("<2i", _MAGIC, 2) + b"".join(parts) + b"\0"


def _block(rows: list[NDArray[np.floating[Any]]], y: int) -> bytes:
    """Scanlines from `y` on: each line has all of one channel, then all of the next."""
    import numpy as np

    raw = np.stack(rows, axis=1).tobytes()
    packed = zlib.compress(_foretold(raw), 4)
    body = packed if len(packed) < len(raw) else raw
    return struct.pack("<2i", y, len(body)) + body


def _foretold(raw: bytes) -> bytes:
    """Low and high bytes apart, each as its difference from the one before: what the format compresses."""
    import numpy as np

    data = np.frombuffer(raw, dtype=np.uint8)
    parted = np.concatenate([data[0::2], data[1::2]]).astype(np.int16)
    parted[1:] = parted[1:] - parted[:-1] + 384
    return parted.astype(np.uint8).tobytes()
