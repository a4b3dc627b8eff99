"""Resizing for packs, with the method names of the field. The core nodes have the same in `nodes.resizing`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def resize(planes: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """Resize (B, C, h, w) or (B, C, T, h, w) as the core nodes do: one implementation, so packs and nodes agree."""
    nodes: Any = importlib.import_module("nodes.resizing")  # by name: packs stand below nodes, which may use them
    resized: Tensor = nodes.resize(planes, int(width), int(height), method, crop)
    return resized
