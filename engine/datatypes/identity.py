"""What the cache may ask of a value that it cannot hash by content."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Identified(Protocol):
    """A value named by what it was made from, such as a model: digest of its file plus ordered patches."""

    def identity(self) -> str:
        """Return a short stable string; equal strings mean interchangeable values, in any process."""
        ...
