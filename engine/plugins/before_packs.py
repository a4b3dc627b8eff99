"""What the field has imported before it imports packs: they find it there, and what they do to fresh imports spares it."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Final

from engine.plugins.packs import ModuleFile

_MARKS: Final = (b"NODE_CLASS_MAPPINGS", b"comfy_entrypoint")
"""What the sources of a pack of the field have in them."""

_LIBRARIES: Final = (
    "torch",
    "torch.nn.functional",
    "numpy",
    "scipy",
    "PIL.Image",
    "safetensors.torch",
    "tqdm",
    "aiohttp.web",
)

_log = logging.getLogger("safelight.packs")


def is_of_the_field(file: ModuleFile) -> bool:
    """Whether a pack declares nodes in the field's way. Packs of our own do without torch until a node runs."""
    return any(_has_mark(path) for _, path in sorted(file.files, key=lambda one: one[1] != file.path))


def import_before_packs() -> None:
    """Import the libraries and the field's modules. One that cannot be is left to whoever wants it."""
    from engine.plugins.compat.host import host_or_none
    from engine.plugins.compat.known import REAL

    names = [*_LIBRARIES, *(REAL if host_or_none() is not None else ())]
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            _log.warning("%s cannot be imported before the packs: %s", name, error)


def _has_mark(path: Path) -> bool:
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return any(mark in data for mark in _MARKS)
