"""Snapshots of a loop that survive being killed at any moment: written beside, flushed, then renamed over the old one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a temporary file beside `path`, flush it to disk, and rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_snapshot(path: Path, state: dict[str, Any]) -> None:
    """Save tensors and plain values."""
    write_whole(path, lambda temporary: torch.save(state, temporary))


def load_snapshot(path: Path) -> dict[str, Any] | None:
    """Load what `save_snapshot` wrote, or None if there is none. No code in the file is run."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
