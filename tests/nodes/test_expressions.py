from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.expressions import MAX_LENGTH, ExpressionError, evaluate

FAST = settings(max_examples=50)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-a ** 2", -9),
        ("7 // 2 + 7 % 2", 4),
        ("7 / 2", 3.5),
        ("2 ** -1", 0.5),
        ("round(a * 1.5 / 8) * 8", 8),
        ("min(a, b, 1) + max(a, b)", 6),
        ("sqrt(16) + abs(-2) + floor(2.7) + ceil(2.2)", 11),
        ("b if a < b else a", 5),
        ("1 < a <= 3 < b", True),
        ("a == 3 and not b == 3", True),
        ("0 or b", 5),
        ("sin(pi / 2) + cos(0) + log(e)", 3),
        ("int(3.9) + round(2.567, 2)", 5.57),
        (" \n a", 3),
    ],
)
def test_arithmetic_means_what_it_says(expression: str, expected: float) -> None:
    assert evaluate(expression, {"a": 3, "b": 5}) == pytest.approx(expected)


@FAST
@given(st.integers(-(2**64), 2**64), st.integers(-(2**64), 2**64))
def test_whole_numbers_stay_exact(a: int, b: int) -> None:
    assert evaluate("a * 2 + b - 1", {"a": a, "b": b}) == a * 2 + b - 1


def test_the_side_that_is_not_taken_is_not_worked_out() -> None:
    assert evaluate("1 if a == 0 else 1 / a", {"a": 0}) == 1
    assert evaluate("a == 0 or 1 / a > 2", {"a": 0}) is True


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "Cannot read"),
        ("a +", "Cannot read"),
        ("1 / (a - 3)", "divides by zero with a = 3"),
        ("x + 1", "there is no 'x'; known are .*a"),
        ("open('x')", "not part of the language"),
        ("__import__('os')", "not part of the language"),
        ("a.real", "'a.real' is not part of the language"),
        ("(1).__class__", "not part of the language"),
        ("[1, 2][0]", "not part of the language"),
        ("[x for x in (1,)]", "not part of the language"),
        ("lambda: 1", "not part of the language"),
        ("(b := 1)", "not part of the language"),
        ("'text'", "not part of the language"),
        ("f'{a}'", "not part of the language"),
        ("1j", "not part of the language"),
        ("a << 3", "not part of the language"),
        ("a is a", "only ==, !="),
        ("round(a, ndigits=1)", "not part of the language"),
        ("sqrt(-1)", "has no value"),
        ("(-8) ** 0.5", "not a real number"),
        ("1e308 * 10", "not finite"),
        ("exp(1000)", "has no value"),
        ("min()", "has no value"),
        ("max(a)", "has no value"),
        ("sqrt", "there is no 'sqrt'"),
    ],
)
def test_what_cannot_be_worked_out_says_why(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        evaluate(expression, {"a": 3})


@pytest.mark.parametrize(
    "expression",
    [
        "9 ** 9 ** 9",
        "(2 ** 1000) ** 1000",
        "a" + " * a" * 100,
        "10.0 ** 400",
        "2 ** 2 ** 2 ** 2 ** 2 ** 2",
        "int(1e308) * int(1e308)",
        "round(1, -10 ** 9)",
    ],
)
def test_numbers_cannot_grow_without_bound(expression: str) -> None:
    with pytest.raises(ExpressionError, match=r"too large|has no value"):
        evaluate(expression, {"a": 2**60})


@pytest.mark.parametrize(("expression", "value"), [("(" * 90 + "1" + ")" * 90, 1), ("-" * 98 + "1", 1)])
def test_deep_nesting_is_worked_out(expression: str, value: int) -> None:
    assert evaluate(expression, {}) == value


@pytest.mark.parametrize("expression", ["(" * 249 + "1" + ")" * 249, "- " * 249 + "(", "(" * 500])
def test_nesting_too_deep_for_the_parser_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError, match=r"nested|Cannot read"):
        evaluate(expression, {})


def test_nesting_too_deep_for_the_stack_is_refused() -> None:
    def at_depth(frames: int) -> float:
        return at_depth(frames - 1) if frames else evaluate("-" * 490 + "1", {})

    with pytest.raises(ExpressionError, match="nested too deeply"):
        at_depth(sys.getrecursionlimit() - 300)


def test_long_expressions_are_refused() -> None:
    with pytest.raises(ExpressionError, match=f"at most {MAX_LENGTH}"):
        evaluate("1" + " + 1" * MAX_LENGTH, {})


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ExpressionError, match="not finite"):
        evaluate("a", {"a": math.nan})
