"""What a node costs in memory."""

from __future__ import annotations

import sys

from engine.loaded import loaded

if sys.platform == "win32":

    def peak_memory() -> int:
        """Peak resident memory of this process so far, in bytes; 0 on Windows, where asking costs more than a cheap node."""
        return 0

else:
    import resource

    _UNIT = 1 if sys.platform == "darwin" else 1024

    def peak_memory() -> int:
        """Peak resident memory of this process so far, in bytes."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


class Peak:
    """By how much the peak grows from one look to the next. A look costs as much as a cheap node, so those have none."""

    def __init__(self) -> None:
        self._seen = peak_memory()

    def growth(self) -> int:
        """Bytes since the last call."""
        seen, self._seen = self._seen, peak_memory()
        return max(0, self._seen - seen)


def device_peak() -> int:
    """Peak bytes allocated on the CUDA device since the last call; 0 where torch or CUDA is not in use."""
    torch = loaded("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    peak = int(torch.cuda.max_memory_allocated())
    torch.cuda.reset_peak_memory_stats()
    return peak
