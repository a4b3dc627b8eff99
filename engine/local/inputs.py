"""Files that a caller gives, in the input folder, where nodes look for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from engine.calls.media import media_of
from engine.media.atomic import write_whole
from engine.paths import Paths

FOLDER: Final = "calls"
"""Below the input folder."""


def stored(value: Any, paths: Paths) -> Any:
    """The name that stands for a file that was given; `value` itself where it is none.

    The same bytes always get the same name, so that a graph that was run with them before is not run again.
    """
    media = media_of(value)
    if media is None:
        return value
    target = paths.directory("input") / FOLDER / media.name
    if not target.is_file() or target.stat().st_size != len(media.data):
        write_whole(target, lambda path: _write(path, media.data))
    return f"{FOLDER}/{media.name}"


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
