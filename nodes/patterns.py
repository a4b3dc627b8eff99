"""Regular expressions with an end: one that tries too many ways is stopped after MAX_SECONDS, one that is too large never made.

The package `regex` has the time limit that Python's own module lacks. It writes repetitions out, so (a{1000}){1000} would take
all memory: how large a pattern becomes is counted first, by Python's own reading of it, which also settles what is a pattern.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    import regex

T = TypeVar("T")

MAX_SECONDS: Final = 5.0
"""How long one pattern may look through one text."""

MAX_PATTERN: Final = 10_000
"""Characters of a pattern."""


MOST_PARTS: Final = 50_000
"""Parts of a pattern with its repetitions written out."""


class Matcher:
    """A pattern of the node `name`, whose searches end."""

    def __init__(self, name: str, pattern: str, *, case_insensitive: bool, multiline: bool, dotall: bool) -> None:
        """Raises ValueError for a pattern that is none, or is too long."""
        import regex

        self.error: type[Exception] = regex.error
        if len(pattern) > MAX_PATTERN:
            raise ValueError(f"{name}: the pattern has {len(pattern)} characters; at most {MAX_PATTERN} are read.")
        flags = case_insensitive * regex.IGNORECASE | multiline * regex.MULTILINE | dotall * regex.DOTALL
        self._name = name
        self._ends = time.monotonic() + MAX_SECONDS
        try:
            if parts_of(pattern) > MOST_PARTS:
                raise OverflowError(f"its repetitions come to more than {MOST_PARTS} parts; repeat less often")
            self.pattern: regex.Pattern[str] = regex.compile(pattern, flags | regex.VERSION0, cache_pattern=False)
        except (regex.error, re.error, RecursionError, OverflowError, MemoryError) as error:
            raise ValueError(f"{name}: {pattern[:200]!r} is no regular expression: {error}.") from None

    def found(self, text: str) -> bool:
        """Whether there is a match anywhere."""
        return self._limited(lambda: self.pattern.search(text, timeout=self._left())) is not None

    def matches(self, text: str) -> Iterator[regex.Match[str]]:
        """All matches, one behind the other."""
        walk = self._limited(lambda: self.pattern.finditer(text, timeout=self._left()))
        while (match := self._limited(lambda: next(walk, None))) is not None:
            yield match
            if time.monotonic() > self._ends:
                raise ValueError(self._slow)

    def replaced(self, text: str, make: Callable[[Any], str], count: int) -> str:
        """`text` with its matches (the first `count`; 0: all) replaced by what `make` gives for them."""
        made: str = self._limited(lambda: self.pattern.sub(make, text, count=count, timeout=self._left()))
        return made

    def _left(self) -> float:
        return max(self._ends - time.monotonic(), 1e-6)

    def _limited(self, search: Callable[[], T]) -> T:
        try:
            return search()
        except TimeoutError:
            raise ValueError(self._slow) from None

    @property
    def _slow(self) -> str:
        return (
            f"{self._name}: the pattern took more than {MAX_SECONDS:g} seconds. One that repeats what is itself repeated, "
            "as (a+)+ does, tries endlessly many ways: write it more narrowly, or shorten the text."
        )


def parts_of(pattern: str) -> int:
    """How many parts a pattern has with its repetitions written out. Raises `re.error` where it is none."""
    from re import _constants, _parser  # type: ignore[attr-defined]  # the only reading of patterns that makes nothing of them

    repeats = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
    total = 0
    todo: list[tuple[Any, int]] = [(_parser.parse(pattern), 1)]
    while todo and total <= MOST_PARTS:
        found, times = todo.pop()
        if isinstance(found, _parser.SubPattern):
            total += times * len(found.data)
            todo += [(part, times) for part in found.data]
        elif isinstance(found, tuple) and len(found) == 2 and found[0] in repeats:
            least, most, inner = found[1]
            todo.append((inner, times * max(1, int(least if most == _constants.MAXREPEAT else most))))
        elif isinstance(found, tuple | list):
            todo += [(part, times) for part in found]
    return total
