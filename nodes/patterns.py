"""Regular expressions with an end: one that tries too many ways is stopped after MAX_SECONDS."""

from __future__ import annotations

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
            self.pattern: regex.Pattern[str] = regex.compile(pattern, flags | regex.VERSION0, cache_pattern=False)
        except (regex.error, RecursionError, OverflowError, MemoryError) as error:
            raise ValueError(f"{name}: {pattern[:200]!r} is no regular expression: {error}.") from None

    def found(self, text: str) -> bool:
        """Whether there is a match anywhere."""
        return self._limited(lambda: self.pattern.search(text, timeout=self._left())) is not None

    def matches(self, text: str) -> Iterator[regex.Match[str]]:
        """All matches, one behind the other."""
        walk = self._limited(lambda: self.pattern.finditer(text, timeout=self._left()))
        while (match := self._limited(lambda: next(walk, None))) is not None:
            yield match

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
            raise ValueError(
                f"{self._name}: the pattern took more than {MAX_SECONDS:g} seconds. One that repeats what is itself "
                "repeated, as (a+)+ does, tries endlessly many ways: write it more narrowly, or shorten the text."
            ) from None
