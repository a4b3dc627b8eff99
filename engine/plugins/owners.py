"""Which pack a file of code belongs to. Modules are one process's, and so is this: packs are noted when they are imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType, ModuleType
from typing import Final

from engine.plugins.packs import ModuleFile

_places: Final[dict[str, str]] = {}
"""Folder with a separator at its end, or file → pack."""


def note_pack(file: ModuleFile) -> None:
    """From now on the files of this pack are known to be its own, under their names with and without links."""
    package = file.path.name == "__init__.py"
    for path in (file.path, Path(os.path.realpath(file.path))):
        _places[f"{path.parent}{os.sep}" if package else str(path)] = file.pack


def pack_of(path: str) -> str | None:
    """The pack that a file belongs to; None for a file of nobody's."""
    return next((pack for place, pack in _places.items() if path.startswith(place)), None)


def pack_of_module(module: ModuleType) -> str | None:
    """The pack that a module was read from, or the first folder of one without a file."""
    found = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ()) or ()), None)
    return pack_of(found if isinstance(found, str) else "")


def pack_of_frames(frame: FrameType | None = None) -> str | None:
    """The pack whose code is nearest among those that called."""
    frame = frame if frame is not None else sys._getframe(1)
    while frame is not None:
        pack = pack_of(frame.f_code.co_filename)
        if pack is not None:
            return pack
        frame = frame.f_back
    return None
