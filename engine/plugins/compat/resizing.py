"""Resizing for packs, as the core nodes do it: one implementation, so that packs and nodes agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def resize(planes: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """Resize (B, C, h, w) or (B, C, T, h, w) to `width` × `height`, which packs give as any kind of number."""
    from engine.media import resizing

    return resizing.resize(planes, int(width), int(height), method, crop)
