"""The model files in the engine's folders, by name and by the hashes that the Stable Diffusion web UI writes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

_OLD_AT, _OLD_LENGTH = 0x100000, 0x10000
"""The web UI's first kind of hash is that of 64 KiB from the first MiB on."""
_STEP: Final = 4 * 1024 * 1024
_MOST: Final = 4 * 1024**3
"""Bytes that are hashed for one question; what was hashed before is known."""

_known: dict[tuple[str, int, int], str] = {}
_lock = threading.Lock()


class FolderFiles:
    """Model files by `names` (a folder's file names, of a kind) and `locate` (a folder and a name → the file)."""

    def __init__(self, names: Callable[..., Sequence[str]], locate: Callable[[str, str], Path | None]) -> None:
        self._names, self._locate = names, locate

    def names(self, folder: str, kind: str = "") -> Sequence[str]:
        """Files of a folder, of a kind where it has several; none for a folder that is not known."""
        try:
            return self._names(folder, kind) if kind else self._names(folder)
        except (KeyError, ValueError):
            return ()

    def hashed(self, folder: str, digest: str) -> str | None:
        """The file whose hash begins with `digest`: 8 digits as the web UI wrote them first, 10 or more of SHA-256 since."""
        digest = digest.lower()
        if len(digest) < 8 or not all(character in "0123456789abcdef" for character in digest):
            return None
        room = _MOST
        for name, path, size in sorted(self._files(folder), key=lambda one: one[2]):
            try:
                if len(digest) == 8 and _old_hash(path) == digest:
                    return name
                known = len(digest) > 8 and _key(path) in _known
                if len(digest) > 8 and (known or size <= room):
                    room -= 0 if known else size
                    if _sha256(path).startswith(digest):
                        return name
            except OSError:
                continue
        return None

    def _files(self, folder: str) -> list[tuple[str, Path, int]]:
        """Name, place and size of each file that is there."""
        found = []
        for name in self.names(folder):
            path = self._locate(folder, name)
            try:
                if path is not None:
                    found.append((name, path, path.stat().st_size))
            except OSError:
                continue
        return found


def _old_hash(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(_OLD_AT)
        return hashlib.sha256(file.read(_OLD_LENGTH)).hexdigest()[:8]


def _key(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns


def _sha256(path: Path) -> str:
    key = _key(path)
    with _lock:
        if key not in _known:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while part := file.read(_STEP):
                    digest.update(part)
            _known[key] = digest.hexdigest()
        return _known[key]
