"""AVIF files of still and moving pictures, of 8 and 10 bits, by FFmpeg (PyAV), with the workflow inside."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from engine.media.containers.avif import places_of
from engine.media.containers.iso import boxes
from engine.media.errors import MediaError
from engine.media.picture_files import require_pictures
from engine.media.png import EXIF_PROMPT, EXIF_WORKFLOW

if TYPE_CHECKING:
    from torch import Tensor

_TAGS: Final = {"sRGB": (1, 13, 6), "HDR": (9, 18, 9), "HDR PQ": (9, 16, 9)}
"""Primaries, transfer and matrix of ISO/IEC 23091-2: BT.709 with sRGB's curve and BT.601's matrix, BT.2020 with HLG or PQ."""
_LEAST: Final = 4


def encode_avif(
    images: Tensor,
    space: str,
    bits: int,
    crf: int,
    told: Mapping[str, Any],
    *,
    fps: float = 1.0,
    loops: int = 0,
) -> bytes:
    """Images (B, H, W, C), C = 1 or 3, values 0..1, as one AVIF file, moving where there are several.

    `space` is sRGB, HDR (BT.2020 HLG) or HDR PQ; `crf` from 1 (best) to 63; `loops` 0 goes on for ever. Pictures are
    4:2:0, of 8 or 10 `bits`. JSON documents `told` go into EXIF. Raises MediaError for alpha and for sides below 4 pixels.
    """
    import av

    require_pictures(images, (1, 3), "AVIF files take images without alpha")
    if min(images.shape[1:3]) < _LEAST or not len(images):
        raise MediaError(
            f"AVIF files have at least one picture of {_LEAST} × {_LEAST} pixels, got {tuple(images.shape)}. Scale it up."
        )
    try:
        data = _encoded(images, space, bits, crf, (fps, loops))
    except av.FFmpegError as error:
        raise MediaError(f"The picture cannot be written as AVIF: {error}. Save it as PNG.") from error
    documents = {key: value for key, value in told.items() if value is not None}
    return with_exif(data, _exif(documents)) if documents else data


def _encoded(images: Tensor, space: str, bits: int, crf: int, moving: tuple[float, int]) -> bytes:
    import av

    buffer = io.BytesIO()
    rate = Fraction(moving[0]).limit_denominator(1000)
    options = {"loop": str(moving[1])} if len(images) > 1 else {}
    with av.open(buffer, "w", format="avif", options=options) as out:
        stream: Any = out.add_stream("libsvtav1", rate=rate, options={"crf": str(crf), "preset": "6"})
        stream.width, stream.height = images.shape[2], images.shape[1]
        stream.pix_fmt = "yuv420p10le" if bits > 8 else "yuv420p"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = _TAGS[space]
        context.color_range = 2
        for index, image in enumerate(images):
            frame = _frame(image, stream.pix_fmt, space)
            frame.pts, frame.time_base = index, 1 / rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def _frame(image: Tensor, kind: str, space: str) -> Any:
    """One image as YUV of full range."""
    import av
    import numpy as np
    from av.video.reformatter import Colorspace

    colours = image.expand(*image.shape[:2], 3).detach().float().cpu().nan_to_num(0.0).clamp(0, 1)
    pixels = np.ascontiguousarray(colours.mul(65535).round().numpy().astype(np.uint16))
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le")
    matrix = Colorspace.ITU601 if space == "sRGB" else Colorspace.BT2020
    return frame.reformat(format=kind, dst_colorspace=matrix, dst_color_range="JPEG")


def _exif(told: Mapping[str, Any]) -> bytes:
    """The documents as EXIF strings `key:JSON`, as the field writes them into WebP files."""
    from PIL import Image

    exif = Image.Exif()
    for tag, key in ((EXIF_PROMPT, "prompt"), (EXIF_WORKFLOW, "workflow")):
        if key in told:
            exif[tag] = f"{key}:{json.dumps(told[key])}"
    data = exif.tobytes()
    return data[6:] if data.startswith(b"Exif\0\0") else data


def with_exif(data: bytes, exif: bytes) -> bytes:
    """An AVIF file without EXIF with an item of it, which stands at the end (ISO/IEC 23008-12, annex A)."""
    found = list(_split(data))
    meta = next(body for kind, body in found if kind == b"meta")
    inner = list(boxes(meta[4:]))
    items = [(number, item.extents) for number, item in places_of(dict(inner)[b"iloc"])]
    number = max(item for item, _ in items) + 1
    body = struct.pack(">I", 0) + exif

    def rebuilt(shift: int, place: int) -> bytes:
        moved = [(item, [(at + shift, length) for at, length in extents]) for item, extents in items]
        parts = []
        for kind, old in inner:
            if kind == b"iloc":
                parts.append(_box(b"iloc", _iloc([*moved, (number, [(place, len(body))])])))
            elif kind == b"iinf":
                entry = _box(b"infe", struct.pack(">B3xHH4sB", 2, number, 0, b"Exif", 0))
                count = int.from_bytes(old[4:6]) + 1
                parts.append(_box(b"iinf", old[:4] + count.to_bytes(2) + old[6:] + entry))
            else:
                parts.append(_box(kind, old))
        described = _box(b"cdsc", struct.pack(">HHH", number, 1, _main_item(inner)))
        return _box(b"meta", meta[:4] + b"".join([*parts, _box(b"iref", bytes(4) + described)]))

    shift = len(rebuilt(0, 0)) - len(meta) - 8
    place = len(data) + shift + 8
    whole = []
    for kind, old in found:
        match kind:
            case b"meta":
                whole.append(rebuilt(shift, place))
            case b"moov":
                whole.append(_box(kind, _shifted(old, shift)))
            case _:
                whole.append(_box(kind, old))
    return b"".join([*whole, _box(b"mdat", body)])


def _split(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box of a file, also of `mdat`."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += max(size, 8)


def _main_item(inner: Sequence[tuple[bytes, bytes]]) -> int:
    return int.from_bytes(dict(inner)[b"pitm"][4:6])


def _iloc(items: Sequence[tuple[int, list[tuple[int, int]]]]) -> bytes:
    """The box `iloc` of version 0 with places and lengths of 32 bits."""
    parts = [struct.pack(">IBBH", 0, 0x44, 0, len(items))]
    for number, extents in items:
        parts.append(struct.pack(">HHH", number, 0, len(extents)))
        parts += [struct.pack(">II", at, length) for at, length in extents]
    return b"".join(parts)


_AROUND: Final = frozenset({b"trak", b"mdia", b"minf", b"stbl"})


def _shifted(body: bytes, shift: int) -> bytes:
    """A box around boxes, in which the places of samples in the file are moved on."""
    return b"".join(_moved_boxes(body, shift))


def _moved_boxes(body: bytes, shift: int) -> Iterator[bytes]:
    for kind, old in boxes(body):
        if kind in _AROUND:
            yield _box(kind, _shifted(old, shift))
        elif kind == b"stco":
            count = int.from_bytes(old[4:8])
            moved = [at + shift for at in struct.unpack_from(f">{count}I", old, 8)]
            yield _box(kind, old[:8] + struct.pack(f">{count}I", *moved))
        else:
            yield _box(kind, old)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body
