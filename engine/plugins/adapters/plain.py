"""Whatever packs put into a declaration, as JSON can hold it. Ends soon also for values that are circular or endless."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import islice
from numbers import Integral, Real
from typing import Any, Final

_DEEPEST: Final = 16
_MOST: Final = 250_000
"""Values in one declaration, and choices of one input, at most."""

_LARGEST: Final = 2**64 - 1
_SMALLEST: Final = -(2**63)


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: other objects as text, functions left out. Raises ValueError for too large a value."""
    return _Plain().made(value, 0)


def choice_values(listed: Iterable[Any]) -> tuple[str | int | float | bool, ...]:
    """The choices of a combo box, those of other kinds as text. Raises ValueError when there is no end of them."""
    found = tuple(map(_choice, islice(listed, _MOST + 1)))
    if len(found) > _MOST:
        raise ValueError(f"an input with more than {_MOST} choices. Offer fewer, or take a text.")
    return found


def text_of(value: Any) -> str:
    """A text, or the text of another object, without what no UTF-8 can hold: names of files may have such characters."""
    text = str.__str__(value) if isinstance(value, str) else str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def is_number(value: Any) -> bool:
    """Whether `value` is a number that can bound others; those of numpy are numbers too."""
    return type(value) is not bool and isinstance(value, Real) and math.isfinite(value)


def number(value: Any) -> int | float:
    """A plain number; whole ones that no 64 bits hold come as close as those do."""
    if isinstance(value, Integral):
        return max(_SMALLEST, min(_LARGEST, int(value)))
    return float(value)


class _Plain:
    """One value being made plain. `left` counts what may still come, as shared parts can make a small value endless."""

    def __init__(self) -> None:
        self.left = _MOST
        self.above: set[int] = set()

    def made(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"an input whose options hold more than {_MOST} values. Offer fewer.")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return text_of(value)
        if isinstance(value, Real):
            return number(value)
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            if depth >= _DEEPEST or id(value) in self.above:
                return "…"
            return self._inside(value, depth)
        return text_of(value)

    def _inside(self, value: Any, depth: int) -> Any:
        self.above.add(id(value))
        try:
            if isinstance(value, Mapping):
                kept = ((key, item) for key, item in value.items() if not callable(item))
                return {text_of(key): self.made(item, depth + 1) for key, item in kept}
            return [self.made(item, depth + 1) for item in value]
        finally:
            self.above.discard(id(value))


def _choice(value: Any) -> str | int | float | bool:
    if isinstance(value, str):
        return text_of(value)
    if isinstance(value, bool) or (isinstance(value, int) and _SMALLEST <= value <= _LARGEST):
        return value
    return float(value) if isinstance(value, float) and math.isfinite(value) else text_of(value)
