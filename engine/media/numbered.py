"""Files that are no pictures, in the output folder: named as saved pictures are, whole or not at all, the workflow inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.media.atomic import Seal, write_numbered_by
from engine.media.names import expand_pattern, place


def write_named(
    home: Path,
    prefix: str,
    suffix: str,
    write: Callable[[Path], object],
    prompt: Mapping[str, Any] | None = None,
    *,
    size: tuple[int, int] | tuple[None, None] = (None, None),
    seal: Seal | None = None,
) -> Path:
    """Let `write` make a file in `home`, give it the name that a file name prefix tells, with the next number, and return it.

    `size`: the pixels that `%width%` and `%height%` mean, where there are any. `seal`: what is done to the whole file.

    Raises MediaError for a prefix that leads out of `home`, a full disk, and a folder that cannot be written.
    """
    named = expand_pattern(prefix, width=size[0], height=size[1], prompt=prompt, now=datetime.now().astimezone())
    folder, stem = place(home, named)
    return write_numbered_by(folder, stem, suffix, write, seal=seal)


def told_of(path: Path, home: Path, folder: str = "output") -> dict[str, str]:
    """Return what clients are told of a file in `home`, the working folder `folder`: `filename`, `subfolder` and `type`."""
    below = path.parent.relative_to(home).as_posix()
    return {"filename": path.name, "subfolder": "" if below == "." else below, "type": folder}


def embedded_texts(embedded: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata `prompt` and `workflow` of a context's `embedded` as JSON, as in safetensors files."""
    return {name: json.dumps(value) for name, value in embedded.items() if value}
