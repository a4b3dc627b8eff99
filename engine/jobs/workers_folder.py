"""The private folder of the workers' socket, and those that servers which were killed left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from engine.jobs.lock import NAME, FolderInUseError, FolderLock

PREFIX: Final = "safelight-"

SOCKET: Final = "workers"

_NEW: Final = ".safelight-new-"
"""What a folder is called until it is locked: nobody may take it for one whose owner is gone."""

_ABANDONED_SECONDS: Final = 3600.0


class SocketFolder:
    """A folder that only this user can enter, and that others can tell to be in use for as long as its owner lives."""

    def __init__(self) -> None:
        """Raises OSError."""
        made = Path(tempfile.mkdtemp(prefix=_NEW))
        self._lock = FolderLock(made, f"The folder {made}")
        self._lock.acquire()
        self.path = made.with_name(PREFIX + made.name.removeprefix(_NEW))
        made.rename(self.path)

    def remove(self) -> None:
        """Remove it with all that is in it. Blocks."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self._lock.release()


def sweep() -> int:
    """Remove the folders of this user whose owners are dead; how many. Blocks."""
    root = Path(tempfile.gettempdir())
    removed = 0
    for path in root.glob(f"{PREFIX}*"):
        if _is_ours(path) and _is_left(path):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    for path in root.glob(f"{_NEW}*"):
        if _is_ours(path) and _is_old(path):
            shutil.rmtree(path, ignore_errors=True)
    return removed


def _is_ours(path: Path) -> bool:
    with suppress(OSError):
        return path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.getuid()
    return False


def _is_left(path: Path) -> bool:
    """Whether it is a folder as above (others may have names that begin alike), and nobody holds its lock."""
    if not _is_socket_folder(path):
        return False
    if not (path / NAME).is_file():
        return _is_old(path)  # of an older version, which had no locks
    lock = FolderLock(path, f"The folder {path}")
    try:
        lock.acquire()
    except (FolderInUseError, OSError):
        return False
    lock.release()
    return True


def _is_socket_folder(path: Path) -> bool:
    """Whether nothing else is in it: what somebody else keeps in a folder of such a name is not ours to delete."""
    with suppress(OSError):
        names = {one.name for one in path.iterdir()}
        return SOCKET in names and names <= {SOCKET, NAME} and (path / SOCKET).is_socket()
    return False


def _is_old(path: Path) -> bool:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    return False
