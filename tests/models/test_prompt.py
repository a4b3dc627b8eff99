"""Emphasis in prompts, by the field's rules."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.prompt import embedding_names, segments, words

CASES = {
    "a red apple": [("a red apple", 1.0)],
    "a (red) apple": [("a ", 1.0), ("red", 1.1), (" apple", 1.0)],
    "((red))": [("red", 1.1 * 1.1)],
    "(red:1.3)": [("red", 1.3)],
    "(red:0.5) apple": [("red", 0.5), (" apple", 1.0)],
    "(red: 1.3 )": [("red", 1.3)],
    "(red:.5)": [("red", 0.5)],
    "(red:-1)": [("red", -1.0)],
    "(a (b) c:2)": [("a ", 2.0), ("b", 2.0 * 1.1), (" c", 2.0)],
    "(a (b:1.5) c)": [("a ", 1.1), ("b", 1.5), (" c", 1.1)],
    "((b:1.5):1.2)": [("b", 1.5)],
    "((b:1.5))": [("b", 1.5)],
    "(a (b):1.5)": [("a ", 1.5), ("b", 1.5 * 1.1)],
    "(a:b)": [("a:b", 1.1)],
    "(a:b:1.2)": [("a:b", 1.2)],
    "(:1.2)": [(":1.2", 1.1)],
    "((a:1.2:1.3))": [("a:1.2", 1.3)],
    r"\(red\) apple": [("(red) apple", 1.0)],
    r"(red \(dark\):1.3)": [("red (dark)", 1.3)],
    r"C:\path": [(r"C:\path", 1.0)],
    "(red": [("(red", 1.0)],
    "red)": [("red)", 1.0)],
    "(a (b)": [("(a ", 1.0), ("b", 1.1)],
    "a) (b)": [("a) ", 1.0), ("b", 1.1)],
    "[red]": [("[red]", 1.0)],
    "": [],
    "()": [],
}


@pytest.mark.parametrize("text", CASES)
def test_a_prompt_is_split_by_weight(text: str) -> None:
    assert segments(text) == CASES[text]


@given(st.text(alphabet="ab():\\.12 ", max_size=40))
def test_no_prompt_breaks_it_and_no_letter_is_lost(text: str) -> None:
    found = segments(text)
    assert [c for c in "".join(s.text for s in found) if c in "ab"] == [c for c in text if c in "ab"]
    assert all(first.weight != second.weight for first, second in itertools.pairwise(found))


def test_a_hundred_thousand_parentheses_are_only_slow_in_proportion() -> None:
    deep = "(" * 100_000 + "a" + ")" * 100_000
    assert len(segments(deep)) == 1
    assert segments("(" * 100_000)[0].text == "(" * 100_000


def test_words_are_split_at_spaces_and_lines_and_an_embedding_is_a_word_of_its_own() -> None:
    assert words("a red\napple") == ["a", "red", "apple"]
    assert words("xembedding:foo, y") == ["x", "embedding:foo,", "y"]


def test_the_embeddings_of_a_prompt_are_listed_once_each() -> None:
    assert embedding_names("(embedding:a:1.2), embedding:sub/b, embedding:a.") == ["a", "sub/b"]
    assert embedding_names("no (such) thing") == []
