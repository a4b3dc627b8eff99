"""Files that come with a call, in the input folder: named by their content, so that each is there once, whoever brings it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.media.atomic import write_whole
from engine.media.containers.kinds import Kind, kind_of
from engine.media.types import TYPES, sniffed

FOLDER: Final = "calls"
"""Of the input folder: where they are."""

UNKNOWN_SUFFIX: Final = ".bin"

_BY_TYPE: Final[Mapping[str, str]] = {kind: suffix for suffix, kind in reversed(TYPES.items())}
_BY_CONTAINER: Final[Mapping[Kind, str]] = {"GLB": ".glb", "SVG": ".svg", "safetensors": ".safetensors"}


def content_name(data: bytes, named: str = "") -> str:
    """The name of these bytes. The suffix is what they are; `named`, that of the file, where they do not tell."""
    from blake3 import blake3

    return f"{blake3(data).hexdigest()[:32]}{suffix_of(data) or named.lower() or UNKNOWN_SUFFIX}"


def suffix_of(data: bytes) -> str:
    """The suffix that the first bytes of a file tell; empty where they do not."""
    found = _BY_TYPE.get(sniffed(data[:32], ""), "")
    container = kind_of(data) if not found else None
    return _BY_CONTAINER.get(container, "") if container is not None else found


def keep(folder: Path, data: bytes, name: str) -> None:
    """Put the bytes into `folder` as `name` (`content_name`), unless they are there. Raises MediaError when they cannot be."""
    if not used_again(folder / name, len(data)):
        write_whole(folder / name, lambda part: _write(part, data))


def used_again(path: Path, size: int) -> bool:
    """Whether the file is there; then it counts as used now, and stays for a day."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except OSError:
        return False
    return True


def _write(part: Path, data: bytes) -> None:
    part.write_bytes(data)
