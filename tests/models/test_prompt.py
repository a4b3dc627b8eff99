"""Emphasis in prompts, by the field's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.prompt import phrases, references, segments

CASES = {
    "a red apple": [("a red apple", 1.0)],
    "a (red) apple": [("a ", 1.0), ("red", 1.1), (" apple", 1.0)],
    "((red))": [("red", 1.1 * 1.1)],
    "(red:1.3)": [("red", 1.3)],
    "(red:0.5) apple": [("red", 0.5), (" apple", 1.0)],
    "(a (b) c:2)": [("a ", 2.0), ("b", 2.0 * 1.1), (" c", 2.0)],
    "(a (b:1.5) c)": [("a ", 1.1), ("b", 1.5), (" c", 1.1)],
    "((b:1.5):1.2)": [("b", 1.5)],
    "((b:1.5))": [("b", 1.5)],
    "((b) :2)": [("b", 2.0 * 1.1), (" ", 2.0)],
    "(a (b):1.5)": [("a ", 1.5), ("b", 1.5 * 1.1)],
    "[red]": [("[red]", 1.0)],
    "": [],
    "()": [],
    "(())": [],
    # neighbours of equal weight stay apart
    "(masterpiece)(best quality)": [("masterpiece", 1.1), ("best quality", 1.1)],
    "cat(dog:1)s": [("cat", 1.0), ("dog", 1.0), ("s", 1.0)],
    # what counts as a weight: what Python reads as a number, after the last colon, if it is not all there is
    "(a:1e1)": [("a", 10.0)],
    "(a: 1.2 )": [("a", 1.2)],
    "(a:\n1.2)": [("a", 1.2)],
    "(a:.5)": [("a", 0.5)],
    "(a:5.)": [("a", 5.0)],
    "(a:+2)": [("a", 2.0)],
    "(a:-1)": [("a", -1.0)],
    "(a:-.5e-1)": [("a", -0.05)],
    "(a:1_0)": [("a", 10.0)],
    "(a:٢)": [("a", 2.0)],
    "(a:0)": [("a", 0.0)],
    "(a:1.2:1.3)": [("a:1.2", 1.3)],
    "(a:b:1.2)": [("a:b", 1.2)],
    "(a::1.2)": [("a:", 1.2)],
    "(a:)": [("a:", 1.1)],
    "(a:b)": [("a:b", 1.1)],
    "(a:1,2)": [("a:1,2", 1.1)],
    "(a:1.2.3)": [("a:1.2.3", 1.1)],
    "(a:0x10)": [("a:0x10", 1.1)],
    "(:1.2)": [(":1.2", 1.1)],
    "( :1.2)": [(" ", 1.2)],
    "(a:1.2 b)": [("a:1.2 b", 1.1)],
    "a:1.2": [("a:1.2", 1.0)],
    # no number that a picture survives
    "(a:nan)": [("a:nan", 1.1)],
    "(a:inf)": [("a:inf", 1.1)],
    "(a:-Infinity)": [("a:-Infinity", 1.1)],
    "(a:1e400)": [("a:1e400", 1.1)],
    # escapes
    r"\(red\) apple": [("(red) apple", 1.0)],
    r"(red \(dark\):1.3)": [("red (dark)", 1.3)],
    r"(red:1.3\))": [("red:1.3)", 1.1)],
    r"(a\)": [("(a)", 1.0)],
    r"\(a)": [("(a)", 1.0)],
    r"a\\(b)": [(r"a\(b)", 1.0)],
    r"C:\path": [(r"C:\path", 1.0)],
    # closed without having been opened: no group until as many more have been opened
    "red)": [("red)", 1.0)],
    "a) (b:1.5)": [("a) (b:1.5)", 1.0)],
    "a) (b) (c:2)": [("a) (b) (c:2)", 1.0)],
    "(a:2) b) (c:2)": [("a", 2.0), (" b) (c:2)", 1.0)],
    "(a:2)) (c:2)": [("a", 2.0), (") (c:2)", 1.0)],
    "a) ((b:2) c": [("a) (", 1.0), ("b", 2.0), (" c", 1.0)],
    "a) ((b:2) c) (d)": [("a) (", 1.0), ("b", 2.0), (" c) (d)", 1.0)],
    "a)) (((b": [("a)) ((", 1.0), ("(b", 1.0)],
    ")": [(")", 1.0)],
    ")(": [(")(", 1.0)],
    ")((": [(")(", 1.0), ("(", 1.0)],
    # never closed: the whole rest is one stretch, a group if a parenthesis ends it
    "(red": [("(red", 1.0)],
    "(": [("(", 1.0)],
    "a (red": [("a ", 1.0), ("(red", 1.0)],
    "((a)": [("(a", 1.1)],
    "((a:1.5)": [("(a", 1.5)],
    "(a (b)": [("a ", 1.1), ("(b", 1.1)],
    "(a (b) c": [("(a (b) c", 1.0)],
    "x (a (b) (c:3)": [("x ", 1.0), ("a ", 3.0), ("b", 3.0 * 1.1), (" ", 3.0), ("(c", 3.0)],
    "(((a))": [("(a", 1.1 * 1.1)],
    "(((a:2))": [("(a", 2.0)],
}


@pytest.mark.parametrize("text", CASES)
def test_a_prompt_is_split_by_weight(text: str) -> None:
    assert segments(text) == CASES[text]


def spelled_out(text: str, weight: float) -> list[tuple[str, float]]:
    """The rules as they are said, one level at a time: cut at groups of this level, read the weight, look inside."""
    stretches, current, level = [], "", 0
    for character in text:
        if character == "(" and level == 0:
            stretches.append(current)
            current = ""
        level += {"(": 1, ")": -1}.get(character, 0)
        current += character
        if character == ")" and level == 0:
            stretches.append(current)
            current = ""
    found = []
    for stretch in filter(None, [*stretches, current]):
        if len(stretch) > 1 and (stretch[0], stretch[-1]) == ("(", ")"):
            inner, _, number = stretch[1:-1].rpartition(":")
            try:
                found += spelled_out(inner, float(number)) if inner else spelled_out(stretch[1:-1], weight * 1.1)
            except ValueError:
                found += spelled_out(stretch[1:-1], weight * 1.1)
        else:
            found.append((stretch, weight))
    return found


@given(st.text(alphabet="ab():.12 ", max_size=40))
def test_every_prompt_is_read_as_the_rules_say_one_level_at_a_time(text: str) -> None:
    assert segments(text) == spelled_out(text, 1.0)


@given(st.text(alphabet="ab():\\.12 ", max_size=40))
def test_no_prompt_breaks_it_and_no_letter_is_lost(text: str) -> None:
    found = segments(text)
    assert [c for c in "".join(s.text for s in found) if c in "ab"] == [c for c in text if c in "ab"]
    assert all(segment.text for segment in found)


def test_a_hundred_thousand_parentheses_are_only_slow_in_proportion() -> None:
    many = 100_000
    assert len(segments("(" * many + "a" + ")" * many)) == 1
    assert [segment.text for segment in segments("(" * many)] == ["(" * many]
    assert [segment.text for segment in segments("(" * many + "a" + ")" * (many - 1))] == ["(a"]
    assert [segment.text for segment in segments(")" * many + "(a)")] == [")" * many + "(a)"]
    assert len(segments("(" * many + "a" + ":1)" * many)) == 1


def test_a_phrase_begins_at_an_embedding_after_a_space_or_a_line_break() -> None:
    assert phrases("a red\napple") == ["a red\napple"]
    assert phrases("embedding:a b embedding:c\nembedding:d") == ["embedding:a b", "embedding:c", "embedding:d"]
    assert phrases("xembedding:foo, y") == ["xembedding:foo, y"]
    assert phrases("  embedding:foo") == [" ", "embedding:foo"]


NAMES = {
    "embedding:foo": [("foo", "")],
    "embedding:foo red  apple": [("foo", "red  apple")],
    "embedding:foo\nred": [("foo", "red")],
    "embedding: foo red": [("foo", "red")],
    "embedding:foo, red": [("foo,", "red"), ("foo", ", red")],
    "embedding:foo,bar": [("foo,bar", ""), ("foo", ",bar ")],
    "embedding:foo(bar) x": [("foo(bar)", "x"), ("foo", "(bar) x")],
    "embedding:foo) x": [("foo)", "x"), ("foo", ") x")],
    "embedding:sub/foo": [("sub/foo", "")],
    "embedding:sub\\foo.pt": [("sub\\foo.pt", "")],
    "embedding:": [],
    "embedding:  ": [],
    "embedding:,": [(",", "")],
    "a embedding:foo": [],
}


@pytest.mark.parametrize("phrase", NAMES)
def test_an_embeddings_name_ends_at_a_space_a_comma_or_a_parenthesis(phrase: str) -> None:
    assert references(phrase) == NAMES[phrase]
