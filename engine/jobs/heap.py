"""What this process has freed goes back to the system, instead of waiting for the next large thing. With glibc only.

glibc takes a large block from the system alone and gives it back when it is freed, but once it has seen one of up to 32 MiB,
it keeps room for the next ones. Blocks that outlive it then hold tens of MiB that nobody uses.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

_M_MMAP_THRESHOLD: Final = -3


def large_apart(size: int) -> None:
    """Have blocks of `size` bytes and more given back at once, for ever. Once per process, before its threads."""
    library = _glibc()
    if library is not None:
        library.mallopt(_M_MMAP_THRESHOLD, size)


def trim() -> None:
    """Give back what many small objects have left. May take some milliseconds."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> Any:
    """The C library if it has both functions, else None."""
    if sys.platform != "linux":
        return None
    try:
        library = ctypes.CDLL(None)
    except OSError:  # a program without shared libraries
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
