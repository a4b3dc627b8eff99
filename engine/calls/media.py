"""A file that a caller gives for a parameter, in whatever form: a picture of PIL, a path, bytes, or what can be read."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.media.given import content_name

_MOST: Final = 4 * 1024**3


class Media(NamedTuple):
    """A file to be given: a name that its content makes, as a server makes it too, and its bytes."""

    name: str
    data: bytes


def media_of(value: Any) -> Media | None:
    """The file that `value` is; None for a text that names no file of this machine, and for values of other kinds.

    Pictures of PIL become PNG files. Raises OSError for a path that cannot be read.
    """
    if isinstance(value, str):
        return _of_path(Path(value).expanduser()) if _is_file(value) else None
    if isinstance(value, os.PathLike):
        return _of_path(Path(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return _named(bytes(value), "")
    if hasattr(value, "save") and hasattr(value, "mode") and hasattr(value, "size"):
        held = io.BytesIO()
        value.save(held, "PNG", compress_level=1)
        return _named(held.getvalue(), ".png")
    if hasattr(value, "read"):
        data = value.read()
        return _named(
            data if isinstance(data, bytes) else str(data).encode(), Path(str(getattr(value, "name", ""))).suffix
        )
    return None


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, a user that is not there
        return False


def _of_path(path: Path) -> Media:
    if path.stat().st_size > _MOST:
        raise OSError(f"{path} has more than 4 GiB, which is more than is taken.")
    return _named(path.read_bytes(), path.suffix)


def _named(data: bytes, suffix: str) -> Media:
    return Media(content_name(data, suffix), data)
