"""What the header of a safetensors file says, read without the rest of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

_LARGEST: Final = 64 * 1024**2
"""A header longer than this is not read; the longest in use have some MiB."""


def read_metadata(path: Path) -> dict[str, Any] | None:
    """The `__metadata__` of the file, or None when it is no safetensors file or has none."""
    if path.suffix.lower() not in (".safetensors", ".sft"):
        return None
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _LARGEST:
                return None
            header = msgspec.json.decode(file.read(length), type=_Header)
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return None
    return header.metadata


class _Header(msgspec.Struct):
    """Only the one entry; msgspec skips the tensors without building anything of them."""

    metadata: dict[str, Any] | None = msgspec.field(name="__metadata__", default=None)
