from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.graph.jsontext import MAX_DEPTH, parse_json
from engine.graph.problems import GraphError


def nested(depth, opening="[", closing="]"):
    return opening * depth + closing * depth


def test_what_python_writes_for_no_number_is_read_as_that():
    assert str(parse_json('{"is_changed": [NaN, -Infinity, 1]}')) == "{'is_changed': [nan, -inf, 1]}"
    assert str(parse_json("NaN")) == "nan"


def test_a_seed_of_64_bits_keeps_every_digit():
    assert parse_json(b'{"seed": 18446744073709551615}') == {"seed": 2**64 - 1}


def test_a_byte_order_mark_is_passed_over():
    assert parse_json(b"\xef\xbb\xbf[1]") == [1]


@pytest.mark.parametrize("depth", [1, 9, 10, 11, 60, MAX_DEPTH])
def test_nesting_is_taken_up_to_the_limit(depth):
    value = parse_json(nested(depth))
    for _ in range(depth - 1):
        (value,) = value
    assert value == []


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 50_000])
def test_deeper_nesting_is_refused(depth):
    for text in (nested(depth), nested(depth, '{"a":[', "]}").replace("[]", "[1]")):
        with pytest.raises(GraphError, match="nested too deeply: more than 128"):
            parse_json(text)


def test_half_a_letter_is_refused_here_rather_than_when_it_is_written():
    with pytest.raises(GraphError, match="half a letter"):
        parse_json(b'{"text": "\\ud800"}')


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{\n "a": ,}', "line 2, column 7"),
        (b"[\xff]", "byte 1 is not UTF-8"),
        ("", "line 1, column 1"),
        ("[1] x", "Extra data"),
    ],
)
def test_the_message_says_where_it_stops_being_json(text, place):
    with pytest.raises(GraphError, match=place):
        parse_json(text)


def test_a_number_of_thousands_of_digits_is_refused():
    with pytest.raises(GraphError, match="digits"):
        parse_json("1" * 10_000)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(JSON)
def test_what_json_can_say_is_read_as_the_standard_library_reads_it(value):
    text = json.dumps(value)
    assert parse_json(text) == json.loads(text)


@given(st.binary(max_size=60) | st.text('[]{}",:\\u0dNaI-1e9', max_size=60).map(str.encode))
def test_the_only_error_is_ours(data):
    try:
        parse_json(data)
    except GraphError:
        return
