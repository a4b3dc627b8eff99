"""Running out of memory, on a device or on the host, as something to act upon."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def is_out_of_memory(problem: BaseException) -> bool:
    """Say whether an exception means that memory ran out (a device's, or torch's allocator on the host)."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(problem, RuntimeError) and (
        "can't allocate memory" in str(problem) or "out of memory" in str(problem)
    )


def unless_out_of_memory(make: Callable[[], T]) -> T | None:
    """Return `make()`, or None when memory ran out; by then what it had allocated is released."""
    try:
        return make()
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
    # Outside the handler: the exception, whose traceback holds the tensors of the failed attempt, is gone here.
    release()
    return None


def release() -> None:
    """Hand freed device memory back, so that the next large allocation finds it in one piece."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def default_budget(device: str) -> int:
    """Return the bytes that models may take: half of the machine's memory, or 85 % of the GPU's."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[1] * 0.85)
    import psutil

    return int(psutil.virtual_memory().total // 2)
