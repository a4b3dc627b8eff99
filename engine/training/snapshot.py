"""Snapshots of a loop that survive being killed at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.media.atomic import write_whole


def save_snapshot(path: Path, state: dict[str, Any]) -> None:
    """Save tensors and plain values."""
    write_whole(path, lambda temporary: torch.save(state, temporary))


def load_snapshot(path: Path) -> dict[str, Any] | None:
    """Load what `save_snapshot` wrote, or None if there is none. No code in the file is run."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
