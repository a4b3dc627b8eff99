"""What the job store raises. Every message says what went wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

MEBIBYTE = 1024 * 1024


class StoreError(Exception):
    """The store could not read or write."""


class StoreFullError(StoreError):
    """There is no room for more jobs. Nothing that was accepted before is touched; accepting goes on once there is room."""

    def __init__(self, folder: Path, free: int) -> None:
        super().__init__(
            f"The disk is full: {folder} has {free / MEBIBYTE:.1f} MiB free, too little to accept jobs. Delete files or "
            "history there and send the prompt again; jobs accepted before are safe."
        )
        self.folder = str(folder)
        self.free = free


class DuplicateJobError(StoreError):
    """An id is that of a job in the queue or in the history."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = tuple(ids)
        super().__init__(
            f"Expected ids of new jobs, got {', '.join(self.ids)}: queued before or in the history. "
            "Leave the id out to be given one."
        )


class StoreVersionError(StoreError):
    """The database was written by a newer version of the engine."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path} has schema version {found}; this version of Safelight knows versions up to {known}. "
            "Start the newer Safelight, or use another --user-directory."
        )
        self.found = found
        self.known = known
