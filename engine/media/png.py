"""Saving pictures as PNG or WebP files that carry the prompt and the workflow they were made by."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from engine.media.atomic import Seal, number_of, write_numbered
from engine.media.names import expand_pattern, place
from engine.media.tensors import to_pictures

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

Format = Literal["png", "webp"]

EXIF_PROMPT: Final = 0x0110
EXIF_WORKFLOW: Final = 0x010F


def save_pictures(
    images: Tensor,
    folder: Path,
    prefix: str,
    *,
    prompt: Mapping[str, Any] | None = None,
    workflow: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
    format: Format = "png",
    embed: bool = True,
    seal: Seal | None = None,
) -> list[Path]:
    """Write each image of (B, H, W, C), values 0..1, as `prefix_00001_.png` with the next free number in `folder`.

    The prefix may name subfolders and hold the patterns of `expand_pattern`; the number goes on within the batch even
    where `%batch_num%` already tells its pictures apart. `prompt` and `workflow` (JSON) are embedded; in a
    PNG file `more` (JSON by name) too; without `embed` nothing is. `seal`: what is done to each whole file.
    A file appears whole or not at all and replaces no other.
    Raises MediaError for a shape that is no picture, a prefix that leads out, a full disk, a folder that cannot be written.
    """
    now = datetime.now()
    paths: list[Path] = []
    number = 0
    for index, picture in enumerate(to_pictures(images)):
        width, height = picture.size
        name = expand_pattern(prefix, width=width, height=height, prompt=prompt, now=now, batch_index=index)
        target, stem = place(folder, name)
        told = (prompt, workflow) if embed else (None, None)
        data = encode_png(picture, *told, more if embed else None) if format == "png" else encode_webp(picture, *told)
        paths.append(write_numbered(target, stem, f".{format}", data, number + 1, seal))
        number = number_of(paths[-1], stem)
    return paths


def encode_png(
    picture: Image,
    prompt: Mapping[str, Any] | None,
    workflow: Mapping[str, Any] | None,
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """The PNG file's bytes, with the text chunks `prompt`, `workflow`, and those of `more` whose names PNG allows."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    known = {"prompt": prompt, "workflow": workflow}
    named = {key: value for key, value in (more or {}).items() if _is_keyword(key)}
    for key, value in (named | known).items():
        if value is not None:
            info.add_text(key, json.dumps(value))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=info, compress_level=4)
    return buffer.getvalue()


def _is_keyword(key: str) -> bool:
    """Whether a text chunk may have that name: 1 to 79 printable Latin-1 characters (PNG specification, 11.3.4)."""
    return key.isprintable() and 0 < len(key) < 80 and key.encode("latin-1", "ignore").decode("latin-1") == key


def encode_webp(picture: Image, prompt: Mapping[str, Any] | None, workflow: Mapping[str, Any] | None) -> bytes:
    """The lossless WebP file's bytes, with the EXIF strings `prompt:…` and `workflow:…`."""
    exif = picture.getexif()
    for tag, key, value in ((EXIF_PROMPT, "prompt", prompt), (EXIF_WORKFLOW, "workflow", workflow)):
        if value is not None:
            exif[tag] = f"{key}:{json.dumps(value)}"
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", lossless=True, exif=exif)
    return buffer.getvalue()
