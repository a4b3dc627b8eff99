"""Reading the prompt and the workflow back out of a picture file. PNG needs neither Pillow nor torch."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engine.media.errors import MediaError

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MAX_TEXT: Final = 64 * 1024 * 1024


class Embedded(msgspec.Struct, frozen=True):
    """What a picture file says of its making; at least one of the two is there."""

    prompt: dict[str, Any] | None
    workflow: dict[str, Any] | None


def is_picture(data: bytes) -> bool:
    """Whether the bytes begin like a PNG, WebP or JPEG file."""
    return data.startswith((PNG_SIGNATURE, b"\xff\xd8\xff")) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def read_embedded(data: bytes, name: str = "the picture") -> Embedded:
    """The prompt and workflow in the bytes of a PNG (text chunks), WebP or JPEG (EXIF strings) file.

    Raises MediaError, which calls the file `name`, when there is neither, or what is there is no JSON object.
    """
    texts = dict(_png_texts(data)) if data.startswith(PNG_SIGNATURE) else dict(_exif_texts(data, name))
    found = {key: _json(texts[key], key, name) for key in ("prompt", "workflow") if texts.get(key)}
    if not found:
        other = " It has the settings of another program, as text." if "parameters" in texts else ""
        raise MediaError(
            f"{name} carries no workflow.{other} Use the picture file as it was saved: editing and most websites strip it."
        )
    return Embedded(found.get("prompt"), found.get("workflow"))


def _json(text: str, key: str, name: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise MediaError(f"The {key} in {name} is not whole JSON: {error}.") from error
    if not isinstance(value, dict):
        raise MediaError(f"The {key} in {name} is a JSON {type(value).__name__}, expected an object.")
    return value


def _png_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Keyword and text of each tEXt, zTXt and iTXt chunk; a damaged or truncated chunk is passed over."""
    offset = len(PNG_SIGNATURE)
    while offset + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        body = data[offset + 8 : offset + 8 + length]
        offset += length + 12
        if kind in (b"tEXt", b"zTXt", b"iTXt") and len(body) == length:
            keyword, _, rest = body.partition(b"\0")
            text = _chunk_text(kind, rest)
            if text is not None:
                yield keyword.decode("latin-1"), text


def _chunk_text(kind: bytes, rest: bytes) -> str | None:
    if kind == b"tEXt":
        return _decode(rest)
    if kind == b"zTXt":
        return _decode(_inflate(rest[1:]))
    compressed = rest[:1] == b"\1"
    text = rest[2:].split(b"\0", 2)[-1]
    return _decode(_inflate(text) if compressed else text)


def _decode(data: bytes | None) -> str | None:
    """UTF-8, which some writers put into Latin-1 chunks too; else Latin-1."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _inflate(data: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(data, _MAX_TEXT)
    except zlib.error:
        return None


def _exif_texts(data: bytes, name: str) -> Iterator[tuple[str, str]]:
    """Key and text of each EXIF string of the form `key:text`."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            exif = picture.getexif()
            values = [*exif.values(), *exif.get_ifd(0x8769).values()]
    except Exception as error:  # decoders of broken files raise nearly anything
        raise MediaError(f"{name} cannot be read as a PNG, WebP or JPEG picture ({error}).") from error
    for value in values:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if isinstance(text, str) and text.partition(":")[0] in ("prompt", "workflow"):
            key, _, rest = text.partition(":")
            yield key, rest
