"""Memory of copies that nobody holds any more, for the next copies: new memory costs several times what copying does.

Whatever the allocator does with what is freed, a chain of nodes that each take a copy and keep a result makes it ask the
system for fresh pages nearly every time.
"""

from __future__ import annotations

from typing import Any, Final

MOST_BYTES: Final = 16 << 20
"""Kept for copies to come, in all."""

MOST: Final = 16
"""Tensors that are kept."""


class Spare:
    """Plain tensors by type and shape, one of each. Safe to use from several threads."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, Any], Any] = {}

    def take(self, value: Any) -> Any:
        """A tensor of the type and shape of `value` with numbers of any kind, no longer kept here; None when there is none."""
        return self._kept.pop((value.dtype, value.shape), None)

    def give(self, value: Any) -> None:
        """Keep a plain tensor in main memory that nobody else holds, if there is room: else it is let go."""
        if (
            not value.is_contiguous()
            or any(getattr(value, "names", ()))
            or value.is_conj()
            or value.is_neg()
            or value.nbytes > MOST_BYTES
        ):
            return
        kept = self._kept
        if len(kept) >= MOST or value.nbytes + sum([one.nbytes for one in list(kept.values())]) > MOST_BYTES:
            kept.clear()
        kept[value.dtype, value.shape] = value

    def clear(self) -> None:
        """Let all of it go."""
        self._kept.clear()
