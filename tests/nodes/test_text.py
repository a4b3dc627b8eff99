from __future__ import annotations

from functools import partial

import pytest

from nodes.text import (
    MAX_TEXT,
    case_converter,
    json_extract_string,
    regex_extract,
    regex_match,
    regex_replace,
    string_compare,
    string_concatenate,
    string_contains,
    string_format,
    string_length,
    string_replace,
    string_substring,
    string_trim,
    text_lines,
)


def test_texts_are_joined_by_the_delimiter() -> None:
    assert string_concatenate("red", "apple", ", ") == "red, apple"


def test_a_part_of_a_text_may_be_counted_from_the_end() -> None:
    assert string_substring("safelight", 4, 9) == "light"
    assert string_substring("safelight", -5, -1) == "ligh"


def test_length_counts_characters() -> None:
    assert string_length("ä🍎") == 2


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("UPPERCASE", "RED APPLE"),
        ("lowercase", "red apple"),
        ("Capitalize", "Red apple"),
        ("Title Case", "Red Apple"),
    ],
)
def test_letters_change_case(mode: str, expected: str) -> None:
    assert case_converter("rED aPPLE", mode) == expected


@pytest.mark.parametrize(("mode", "expected"), [("Both", "a"), ("Left", "a \n"), ("Right", "\t a")])
def test_white_space_is_trimmed_at_the_named_ends(mode: str, expected: str) -> None:
    assert string_trim("\t a \n", mode) == expected


def test_replacing_replaces_every_occurrence_and_nothing_for_nothing() -> None:
    assert string_replace("a red, red apple", "red", "green") == "a green, green apple"
    assert string_replace("abc", "", "-") == "abc"


def test_a_replacement_that_explodes_is_refused_before_it_is_made() -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_TEXT}"):
        string_replace("a" * 100_000, "a", "b" * 100_000)


def test_containing_and_comparing_with_and_without_case() -> None:
    assert string_contains("Red Apple", "apple", False)
    assert not string_contains("Red Apple", "apple", True)
    assert string_compare("Red Apple", "red", "Starts With", False)
    assert not string_compare("Red Apple", "red", "Starts With", True)
    assert string_compare("Red Apple", "Apple", "Ends With")
    assert not string_compare("Red Apple", "Red", "Ends With")
    assert string_compare("STRASSE", "straße", "Equal", False)
    assert not string_compare("Red Apple", "Red", "Equal")


def test_patterns_match_anywhere_with_flags() -> None:
    assert regex_match("one\ntwo", "^TWO$", True, True)
    assert not regex_match("one\ntwo", "^TWO$", False, True)
    assert not regex_match("one\ntwo", "^TWO$", True, False)
    assert regex_match("one\ntwo", "one.two", dotall=True)
    assert not regex_match("one\ntwo", "one.two")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("First Match", "a1"), ("All Matches", "a1\nb22"), ("First Group", "1"), ("All Groups", "1\n22")],
)
def test_what_a_pattern_finds_is_given_one_a_line(mode: str, expected: str) -> None:
    assert regex_extract("a1 b22", r"[a-z](\d+)", mode) == expected


def test_a_pattern_that_finds_nothing_gives_an_empty_text() -> None:
    assert regex_extract("abc", r"\d", "All Matches") == ""
    assert regex_extract("ac", r"a(b)?c", "First Group") == ""


def test_a_group_that_a_pattern_has_not_is_named() -> None:
    with pytest.raises(ValueError, match=r"has 1 groups and no group 2"):
        regex_extract("a", "(a)", "First Group", group_index=2)


def test_replacing_by_pattern_fills_groups_in_and_counts() -> None:
    assert regex_replace("a1 b2", r"([a-z])(\d)", r"\2\1") == "1a 2b"
    assert regex_replace("aaa", "a", "b", count=2) == "bba"
    with pytest.raises(ValueError, match="does not fit the pattern"):
        regex_replace("a", "a", r"\7")


@pytest.mark.parametrize("node", [regex_match, regex_extract, partial(regex_replace, replace="")])
def test_a_broken_pattern_is_quoted(node) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"'\(' is no regular expression"):
        node("text", "(")


def test_values_are_filled_into_a_template() -> None:
    assert (
        string_format("{a:03d}_{b:.2f}_{c!r:>5}_{{{d}}}", values={"a": 7, "b": 0.5, "c": "x", "d": True})
        == "007_0.50_  'x'_{True}"
    )


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{b}", "'b' is not linked. Linked: a"),
        ("{a.__class__}", "not the name of a value"),
        ("{a[0]}", "not the name of a value"),
        ("{}", "not the name of a value"),
        ("{0}", "not the name of a value"),
        ("{a", "cannot fill"),
        ("}", "cannot fill"),
        ("{a:>99999999999}", "wider than 1000"),
        ("{a:{a.__class__}}", "not the name of a value"),
        ("{a:d}", "cannot fill"),
    ],
)
def test_templates_reach_values_and_nothing_else(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        string_format(template, values={"a": "text"})


def test_lines_become_a_list_without_the_empty_ones() -> None:
    assert text_lines(" euler \n\n heun\r\nddim") == ["euler", "heun", "ddim"]


def test_no_lines_are_refused() -> None:
    with pytest.raises(ValueError, match="write at least one line"):
        text_lines(" \n ")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": "one"}', "one"),
        ('Here it is:\n```json\n{"a": "one"}\n``` and {"a": "two"}', "one"),
        ('{not this} {"a": 0.5}', "0.5"),
        ('{"a": true}', "True"),
        ('{"a": {"b": [1, null]}}', "{'b': [1, None]}"),
        ('{"a": null}', ""),
        ('{"b": 1} {"a": 1}', ""),
        ("[1, 2]", ""),
        ("", ""),
        ("{" * 5000, ""),
    ],
)
def test_a_value_is_taken_from_the_first_json_object_of_a_text(text: str, found: str) -> None:
    assert json_extract_string(text, "a") == found
