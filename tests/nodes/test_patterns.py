"""Regular expressions end, whatever they are."""

from __future__ import annotations

import re

import pytest

from nodes import patterns
from nodes.text import MAX_TEXT, regex_extract, regex_match, regex_replace


@pytest.mark.parametrize("node", [regex_match, regex_extract, lambda text, pattern: regex_replace(text, pattern, "b")])
def test_a_pattern_that_takes_too_long_is_stopped_and_told(monkeypatch: pytest.MonkeyPatch, node) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(patterns, "MAX_SECONDS", 1e-9)  # of an ordinary search
    with pytest.raises(ValueError, match="write it more narrowly"):
        node("a" * 100_000 + "b", "(?:a|aa)+c")


@pytest.mark.parametrize(
    "pattern", [r"(\w+)\s(\w+)", r"^\s*(?P<name>[a-z]+)", r"\bo|x*", r"(?i:T)h", r"[\[a-c]+", r"a{2}"]
)
def test_patterns_find_what_the_standard_library_finds(pattern: str) -> None:
    text = "The quick brown\nfox aa [b] jumps over\nthe lazy dog"
    for flags, multiline, dotall in ((0, False, False), (re.MULTILINE, True, False), (re.DOTALL, False, True)):
        expected = [match[0] for match in re.finditer(pattern, text, flags)]
        assert regex_extract(text, pattern, "All Matches", False, multiline, dotall) == "\n".join(expected)
        assert regex_replace(text, pattern, "<\\g<0>>", False, multiline, dotall) == re.sub(
            pattern, "<\\g<0>>", text, flags=flags
        )


def test_a_replacement_that_grows_beyond_what_a_text_may_have_is_refused() -> None:
    with pytest.raises(ValueError, match=f"more than {MAX_TEXT} characters"):
        regex_replace("a" * 20_000, "a", "b" * 1000)


def test_a_pattern_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 10000 are read"):
        regex_match("a", "a" * 10_001)
