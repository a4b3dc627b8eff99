"""One server per folder: a lock that the operating system lets go when its process dies, however it dies."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType

import msgspec

NAME = "server.lock"


class FolderInUseError(Exception):
    """Another server has the folder."""


class Holder(msgspec.Struct):
    """What the file says of the server that holds it."""

    pid: int = 0
    url: str = ""
    started: str = ""


class FolderLock:
    """Holds `folder/server.lock`. `about` begins the message: "The user directory /home/me/user"."""

    def __init__(self, folder: Path, about: str) -> None:
        self.path = folder / NAME
        self._about = about
        self._file: int | None = None
        self._started = ""

    def acquire(self) -> None:
        """Take the lock. Raises `FolderInUseError`, which names the server that has it."""
        if self._file is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        if not _try_lock(file):
            os.close(file)
            raise FolderInUseError(self._message(self.holder()))
        self._file = file
        self._started = time.strftime("%Y-%m-%d %H:%M:%S")
        self.describe("")

    def describe(self, url: str) -> None:
        """Tell others where this server answers."""
        if self._file is None:
            raise RuntimeError(f"{self.path} is not held: acquire() comes before describe()")
        content = msgspec.json.encode(Holder(pid=os.getpid(), url=url, started=self._started))
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, content)
        os.ftruncate(self._file, len(content))

    def holder(self) -> Holder:
        """What the file says; a server that has just started may not have written yet."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Holder)
        except (OSError, msgspec.MsgspecError):
            return Holder()

    def held(self) -> Holder | None:
        """The server that has the folder now; None when none has it, whatever the file says."""
        try:
            file = os.open(self.path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        except OSError:
            return None
        try:
            if _try_lock(file):
                _unlock(file)
                return None
            return self.holder()
        finally:
            os.close(file)

    def release(self) -> None:
        """Let the lock go. The file stays: deleting it would let two servers lock two files of one name."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            _unlock(self._file)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> FolderLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _message(self, holder: Holder) -> str:
        where = f" at {holder.url}" if holder.url else ""
        details = [f"process {holder.pid}"] if holder.pid else []
        if holder.started:
            details.append(f"since {holder.started}")
        who = f" ({', '.join(details)})" if details else ""
        return f"{self._about} is in use by the server{where}{who}. Stop it, or use another --base-directory / --user-directory."


if sys.platform == "win32":
    import msvcrt

    LOCKED_BYTE = 1 << 30
    """Far beyond the content, which others read while it is locked."""

    def _try_lock(file: int) -> bool:
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: int) -> None:
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
