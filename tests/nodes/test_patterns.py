"""Regular expressions end, whatever they are."""

from __future__ import annotations

import re

import pytest

from nodes import patterns
from nodes.patterns import MOST_PARTS, parts_of
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


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("a", 1),
        ("ab*c", 4),
        ("a{7}", 8),
        ("(?:ab){3}", 7),
        ("(?:(?:a{2}){3}){4}", 1 + 4 + 12 + 24),
        ("(a|bc){2,5}|d", 0),
    ],
)
def test_the_parts_of_a_pattern_are_counted_with_repetitions_written_out(pattern: str, parts: int) -> None:
    assert parts_of(pattern) == parts or (not parts and parts_of(pattern) > 15)


@pytest.mark.parametrize(
    "pattern", ["(?:(?:a{1000}){1000}){1000}", "(?x)(?:(?:a{1000} # [\n){1000} # [\n){1000}", "a{9999999}"]
)
def test_patterns_that_would_take_all_memory_are_refused_unmade(pattern: str) -> None:
    with pytest.raises(ValueError, match=f"more than {MOST_PARTS} parts"):
        regex_match("a", pattern)
