"""Files that a caller gives, in the input folder, where nodes look for them."""

from __future__ import annotations

from typing import Any

from engine.calls.media import media_of
from engine.media.given import FOLDER, keep
from engine.paths import Paths


def stored(value: Any, paths: Paths) -> Any:
    """The name that stands for a file that was given; `value` itself where it is none.

    The same bytes always get the same name, so that a graph that was run with them before is not run again.
    """
    media = media_of(value)
    if media is None:
        return value
    keep(paths.directory("input") / FOLDER, media.data, media.name)
    return f"{FOLDER}/{media.name}"
