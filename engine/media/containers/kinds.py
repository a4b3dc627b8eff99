"""Which container some bytes are, and its reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

from engine.media.containers import avif, exr, gltf, id3, iso, jpeg, matroska, png, safetensors, svg, vorbis, webp

Kind: TypeAlias = Literal[
    "PNG", "JPEG", "WebP", "MP4", "WebM", "FLAC", "OGG", "MP3", "AVIF", "EXR", "GLB", "SVG", "safetensors"
]

PICTURES: Final[frozenset[Kind]] = frozenset({"PNG", "JPEG", "WebP", "AVIF"})

READERS: Final[Mapping[Kind, Callable[[bytes], Iterator[tuple[str, str]]]]] = {
    "PNG": png.texts,
    "JPEG": jpeg.texts,
    "WebP": webp.texts,
    "MP4": iso.texts,
    "WebM": matroska.texts,
    "FLAC": vorbis.flac_texts,
    "OGG": vorbis.ogg_texts,
    "MP3": id3.texts,
    "AVIF": avif.texts,
    "EXR": exr.texts,
    "GLB": gltf.texts,
    "SVG": svg.texts,
    "safetensors": safetensors.texts,
}


def kind_of(data: bytes) -> Kind | None:
    """Return the container by the first bytes of a file; None for any other file.

    MP4 stands for MOV too, WebM for MKV, AVIF for HEIF, safetensors for `.latent`.
    """
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if avif.is_picture(data):
        return "AVIF"
    if data[4:8] in _FIRST_BOXES:
        return "MP4"
    if safetensors.head_length(data) is not None:
        return "safetensors"
    if svg.is_svg(data):
        return "SVG"
    return None


_SIGNATURES: Final[tuple[tuple[bytes, Kind], ...]] = (
    (png.SIGNATURE, "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x1a\x45\xdf\xa3", "WebM"),
    (b"fLaC", "FLAC"),
    (b"OggS", "OGG"),
    (b"ID3", "MP3"),
    (gltf.SIGNATURE, "GLB"),
    (exr.SIGNATURE, "EXR"),
)
_FIRST_BOXES: Final = (b"ftyp", b"moov", b"wide", b"mdat")
