"""Memory in which one weight after the other is unpacked."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from engine.models.shapes import Shape


class Room:
    """As much memory as the largest weight took, kept until `free`. One thread has it at a time, and others do without.

    On a GPU it is the library's own cache that gives memory again, and none is kept here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes: Tensor | None = None

    @contextmanager
    def lent(self) -> Iterator[Room | None]:
        """Give this room to the block, None where it is taken."""
        if not self._lock.acquire(blocking=False):
            yield None
            return
        try:
            yield self
        finally:
            self._lock.release()

    def of(self, shape: Shape, dtype: torch.dtype, device: torch.device) -> Tensor | None:
        """Return memory for values, of whatever they were before; None where none is kept."""
        if device.type != "cpu":
            return None
        needed = math.prod(shape) * dtype.itemsize
        if self._bytes is None or len(self._bytes) < needed:
            self._bytes = None  # before the larger one is taken
            self._bytes = torch.empty(needed, dtype=torch.uint8)
        return self._bytes[:needed].view(dtype).view(shape)

    def free(self) -> None:
        """Give the memory back."""
        with self._lock:
            self._bytes = None


ROOM = Room()
