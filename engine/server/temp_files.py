"""Old temporary pictures. Young ones stay: the history and cached results of earlier sessions show them."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

DAYS: Final = 7.0


def remove_old(folder: Path, days: float = DAYS) -> int:
    """Delete files below `folder` that nobody has written or read for `days`; returns how many."""
    oldest, removed = time.time() - days * 86_400, 0
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        with suppress(OSError):
            facts = path.lstat()
            if path.is_file() and not path.is_symlink() and max(facts.st_mtime, facts.st_atime) < oldest:
                path.unlink()
                removed += 1
    return removed
