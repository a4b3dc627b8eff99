from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import ExecutionBlocker
from nodes.arithmetic import (
    comfy_math_expression,
    comfy_number_convert,
    compare_numbers,
    float_arithmetic,
    float_range,
    int_arithmetic,
    int_range,
    math_expression,
    parse_number,
    round_number,
)
from nodes.expressions import ExpressionError
from nodes.primitives import (
    custom_combo,
    primitive_boolean,
    primitive_float,
    primitive_int,
    primitive_string,
    primitive_string_multiline,
    seed_node,
)

FAST = settings(max_examples=50)


def test_primitives_give_their_value_in_their_type() -> None:
    assert primitive_int(2**63 - 1) == seed_node(2**63 - 1) == 2**63 - 1
    assert primitive_float(3) == 3.0
    assert type(primitive_float(3)) is float
    assert primitive_string("a b") == "a b"
    assert primitive_string_multiline("a\nb") == "a\nb"
    assert primitive_boolean(True) is True


@pytest.mark.parametrize(
    ("operation", "whole", "real"),
    [
        ("add", 5, 5.0),
        ("subtract", -9, -9.0),
        ("multiply", -14, -14.0),
        ("divide", -1, -2 / 7),
        ("modulo", 5, 5.0),
        ("power", -128, -128.0),
        ("minimum", -2, -2.0),
        ("maximum", 7, 7.0),
    ],
)
def test_operations_on_whole_and_real_numbers(operation: str, whole: int, real: float) -> None:
    assert int_arithmetic(-2, 7, operation) == whole
    assert type(int_arithmetic(-2, 7, operation)) is int
    assert float_arithmetic(-2, 7, operation) == pytest.approx(real)
    assert type(float_arithmetic(-2, 7, operation)) is float


@pytest.mark.parametrize("operation", ["divide", "modulo"])
def test_division_by_zero_names_the_node_and_the_numbers(operation: str) -> None:
    with pytest.raises(ValueError, match=f"IntArithmetic: 3 {operation} 0 divides by zero"):
        int_arithmetic(3, 0, operation)
    with pytest.raises(ValueError, match=f"FloatArithmetic: 3.0 {operation} 0.0 divides by zero"):
        float_arithmetic(3, 0, operation)


def test_powers_that_are_too_large_or_not_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        int_arithmetic(10, 10**9, "power")
    with pytest.raises(ValueError, match="has no value"):
        float_arithmetic(10, 400, "power")
    with pytest.raises(ValueError, match="no whole number; use FloatArithmetic"):
        int_arithmetic(2, -1, "power")
    assert int_arithmetic(-1, 2**40, "power") == 1


def test_an_expression_comes_out_in_three_types() -> None:
    assert math_expression("a / b + c", 7, 2, 1) == (4.5, 4, True)
    assert math_expression("a > b", 1, 2) == (0.0, 0, False)
    assert math_expression("2 ** 70 + 1").INT == 2**70 + 1


def test_an_expression_that_fails_is_quoted() -> None:
    with pytest.raises(ExpressionError, match=r"'a / b' divides by zero with a = 1, b = 0"):
        math_expression("a / b", 1, 0)


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [("==", [0, 1, 0]), ("!=", [1, 0, 1]), ("<", [1, 0, 0]), ("<=", [1, 1, 0]), (">", [0, 0, 1]), (">=", [0, 1, 1])],
)
def test_comparisons_of_less_equal_and_more(comparison: str, expected: list[int]) -> None:
    assert [compare_numbers(a, 2, comparison) for a in (1, 2, 3)] == [bool(item) for item in expected]


@pytest.mark.parametrize(("rounding", "expected"), [("nearest", -2), ("down", -3), ("up", -2), ("toward zero", -2)])
def test_rounding_has_a_direction(rounding: str, expected: int) -> None:
    assert round_number(-2.4, rounding) == expected


@FAST
@given(st.floats(-1e9, 1e9), st.integers(1, 1000))
def test_rounding_to_multiples_reaches_the_nearest(value: float, multiple: int) -> None:
    rounded = round_number(value, "nearest", multiple)
    assert rounded % multiple == 0
    assert abs(rounded - value) <= multiple / 2 + 1e-6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" 12 ", (12.0, 12)),
        ("-0.5", (-0.5, 0)),
        ("1e3", (1000.0, 1000)),
        ("-7", (-7.0, -7)),
        ("18446744073709551615", (2.0**64, 2**64 - 1)),
    ],
)
def test_numbers_are_read_from_text(text: str, expected: tuple[float, int]) -> None:
    assert parse_number(text) == expected


@pytest.mark.parametrize("text", ["", "twelve", "1 2", "inf", "nan"])
def test_text_that_is_no_number_is_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is no number"):
        parse_number(text)


def test_ranges_are_lists() -> None:
    assert int_range(1, 8, 3) == [1, 4, 7]
    assert int_range(3, 0, -1) == [3, 2, 1]
    assert float_range(0, 1, 5) == [0, 0.25, 0.5, 0.75, 1]
    assert float_range(2, 9, 1) == [2]


def test_ranges_that_never_end_or_are_too_long_are_refused() -> None:
    with pytest.raises(ValueError, match="a step of 0 never arrives"):
        int_range(0, 5, 0)
    with pytest.raises(ValueError, match="at most 10000 are made"):
        int_range(0, 2**62, 1)


@pytest.mark.parametrize(
    ("value", "real", "whole"),
    [
        (3, 3.0, 3),
        (-2.9, -2.9, -2),
        (True, 1.0, 1),
        (" 12 ", 12.0, 12),
        ("3.99", 3.99, 3),
        ("-1e2", -100.0, -100),
        ("9223372036854775807", 2.0**63, 2**63 - 1),
    ],
)
def test_numbers_and_texts_of_numbers_are_converted(value: Any, real: float, whole: int) -> None:
    assert comfy_number_convert(value) == (real, whole)


@pytest.mark.parametrize("value", ["", "  ", "two", "inf", "nan", "1e999", float("inf"), "0x10", "9" * 400])
def test_what_is_no_finite_number_is_not_converted(value: Any) -> None:
    with pytest.raises(ValueError, match=r"ComfyNumberConvert: .* is no finite number; give it for example 12"):
        comfy_number_convert(value)


@pytest.mark.parametrize(
    ("expression", "linked", "worked"),
    [
        ("a + b", {"a": 1, "b": 2.5}, (3.5, 3, True)),
        ("a & ~1", {"a": 7}, (6.0, 6, True)),
        ("a & -8", {"a": 1023}, (1016.0, 1016, True)),
        ("a % b if b > 0 else 0", {"a": 7, "b": 0}, (0.0, 0, False)),
        ("ceil(1.5 * log2(max(a, b))) + 2", {"a": 1024, "b": 512}, (17.0, 17, True)),
        ("max(5, round(a * 24)) + (5 - (max(5, round(a * 24)) % 17)) % 17", {"a": 5}, (124.0, 124, True)),
        ("sum(values) + min(values) * max(values)", {"a": 2, "b": 3, "c": True}, (9.0, 9, True)),
        ("pow(a, 2) - e", {"a": -3, "e": 10}, (-1.0, -1, True)),
        ("a > 2048", {"a": 2049}, (1.0, 1, True)),
        ("-a / 4", {"a": 7}, (-1.75, -1, True)),
        ("round (a * 24)", {"a": 2**60}, (24.0 * 2**60, 24 * 2**60, True)),
    ],
)
def test_an_expression_of_linked_numbers_has_one_value_in_three_types(
    expression: str, linked: Any, worked: Any
) -> None:
    assert comfy_math_expression(expression, values=linked) == worked


@pytest.mark.parametrize(
    ("expression", "linked", "says"),
    [
        (" \n", {"a": 1}, "is empty"),
        ("a + b", {"a": 1}, "there is no 'b'"),
        ("a & 1", {"a": 1.5}, "has no value with a = 1.5"),
        ("values * 1000000000", {"a": 1}, "'values' is several numbers"),
        ("values", {"a": 1}, "not a number"),
        ("sum(values, values)", {"a": 1}, "has no value"),
        ("sum(a)", {"a": 1}, "has no value"),
        ("pow(10, 9999)", {"a": 1}, "too large"),
        ("1e308 * a", {"a": 10}, "not finite"),
        ("1 << 99999999999", {"a": 1}, "not part of the language"),
        ("~values", {"a": 1}, "'values' is several numbers"),
        ("a / 0", {"a": 1}, "divides by zero"),
    ],
)
def test_an_expression_without_a_value_is_refused_with_the_reason(expression: str, linked: Any, says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        comfy_math_expression(expression, values=linked)


def test_a_choice_of_ones_own_is_given_with_its_place() -> None:
    assert custom_combo("b", index=1, option1="a", option2="b") == ("b", 1)
    text, place = custom_combo("b")
    assert text == "b"
    assert isinstance(place, ExecutionBlocker)
    assert "does not tell `index`" in str(place.message)
