"""Pictures as the frames of one animated WebP or PNG file, which carries the prompt and the workflow they were made by."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from engine.media.atomic import Seal, write_numbered
from engine.media.errors import MediaError
from engine.media.names import expand_pattern, place
from engine.media.png import EXIF_PROMPT, EXIF_WORKFLOW
from engine.media.tensors import to_pictures

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["webp", "png"]

METHODS: Final = {"default": 4, "fastest": 0, "slowest": 6}
"""How long the WebP encoder looks for small files, by the field's names."""


def save_animation(
    images: Tensor,
    folder: Path,
    prefix: str,
    kind: Kind,
    fps: float,
    *,
    prompt: Mapping[str, Any] | None = None,
    workflow: Mapping[str, Any] | None = None,
    embed: bool = True,
    seal: Seal | None = None,
    **options: Any,
) -> Path:
    """Write the frames (B, H, W, C), values 0..1, as `prefix_00001_.webp` or `.png` with the next free number; it loops for ever.

    `fps`: frames a second. Without `embed`, the prompt serves the name alone. `seal`: what is done to the whole file.
    `options` are Pillow's: `lossless`, `quality` (0..100) and `method` (0..6) of WebP,
    `compress_level` (0..9) of PNG. Raises MediaError for a shape that is no picture, no
    frames at all, a prefix that leads out, a full disk, a folder that cannot be written.
    """
    frames = to_pictures(images)
    first = next(frames, None)
    if first is None:
        raise MediaError(f"{prefix}: an animation needs at least one picture, got none.")
    name = expand_pattern(prefix, width=first.width, height=first.height, prompt=prompt, now=datetime.now())
    target, stem = place(folder, name)
    buffer = io.BytesIO()
    told = {"prompt": prompt, "workflow": workflow} if embed else dict.fromkeys(("prompt", "workflow"))
    first.save(
        buffer,
        format=kind.upper(),
        save_all=True,
        append_images=list(frames),  # which Pillow goes over more than once
        duration=int(1000.0 / fps),
        loop=0,
        **(_exif(first, told) if kind == "webp" else _chunks(told)),
        **options,
    )
    return write_numbered(target, stem, f".{kind}", buffer.getvalue(), seal=seal)


def _exif(picture: Any, told: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    exif = picture.getexif()
    for tag, key in ((EXIF_PROMPT, "prompt"), (EXIF_WORKFLOW, "workflow")):
        if (value := told[key]) is not None:
            exif[tag] = f"{key}:{json.dumps(value)}"
    return {"exif": exif}


def _chunks(told: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in told.items():
        if value is not None:
            info.add_text(key, json.dumps(value))
    return {"pnginfo": info}
