"""Calculating with numbers, and lists of numbers to run nodes over."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from engine.api import Growing, In, Out, node
from nodes.expressions import ExpressionError, evaluate, multiply, power

Whole = Annotated[int, In(ge=-(2**63) + 1, le=2**63 - 1)]
Real = Annotated[float | int | bool, In(ge=-1e18, le=1e18, step=0.01, widget="FLOAT")]
"""A number of any type: links of FLOAT inputs bring no INT."""
Operation = Literal["add", "subtract", "multiply", "divide", "modulo", "power", "minimum", "maximum"]

LETTERS = string.ascii_lowercase

_VALUES = {"input": {"required": {"value": ["FLOAT,INT,BOOLEAN", {}]}}, "min": 1, "names": list(LETTERS)}
"""What grows on an expression: numbers of any type, under the names a to z."""

MAX_LIST = 10_000
"""Most items in a list that a node makes."""

OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": multiply,
    "divide": lambda a, b: a / b,
    "modulo": lambda a, b: a % b,
    "power": power,
    "minimum": min,
    "maximum": max,
}

ROUNDINGS: Mapping[str, Callable[[float], int]] = {
    "nearest": round,
    "down": math.floor,
    "up": math.ceil,
    "toward zero": math.trunc,
}

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Result(NamedTuple):
    """One value in three types."""

    FLOAT: float
    INT: Annotated[int, Out(tip="Cut off towards zero.")]
    BOOLEAN: Annotated[bool, Out(tip="False for 0.")]


class Worked(NamedTuple):
    """What an expression comes to, in three types."""

    FLOAT: float
    INT: Annotated[int, Out(tip="Cut off towards zero.")]
    BOOL: Annotated[bool, Out(tip="False for 0.")]


class Parsed(NamedTuple):
    """A number read from something else."""

    FLOAT: float
    INT: Annotated[int, Out(tip="Cut off towards zero.")]


@node("IntArithmetic", category="utils/math", display_name="Int Arithmetic")
def int_arithmetic(
    a: Whole = 0,
    b: Whole = 0,
    operation: Annotated[Operation, In(tip="divide rounds down, as // does.")] = "add",
) -> int:
    """Calculate with two whole numbers. Raises ValueError on division by zero and on results that are too large."""
    if operation == "power" and b < 0:
        raise ValueError(f"IntArithmetic: {a} to the power of {b} is no whole number; use FloatArithmetic.")
    return int(_calculated("IntArithmetic", a, b, operation, {**OPERATIONS, "divide": lambda a, b: a // b}))


@node("FloatArithmetic", category="utils/math", display_name="Float Arithmetic")
def float_arithmetic(a: Real = 0.0, b: Real = 0.0, operation: Operation = "add") -> float:
    """Calculate with two numbers. Raises ValueError on division by zero and on results that are too large."""
    return float(_calculated("FloatArithmetic", float(a), float(b), operation, OPERATIONS))


def _calculated(
    name: str, a: float, b: float, operation: str, operations: Mapping[str, Callable[[Any, Any], Any]]
) -> float:
    try:
        result: float = operations[operation](a, b)
        return result
    except ZeroDivisionError:
        raise ValueError(f"{name}: {a} {operation} {b} divides by zero; use another b.") from None
    except (OverflowError, ValueError) as error:
        raise ValueError(f"{name}: {a} {operation} {b} has no value: {error}.") from None


@node("MathExpression", category="utils/math", display_name="Math Expression")
def math_expression(
    expression: Annotated[
        str,
        In(multiline=True, tip="+ - * / // % **, comparisons, if … else, min, max, round, floor, ceil, sqrt, sin, …"),
    ] = "a + b",
    a: Real = 0.0,
    b: Real = 0.0,
    c: Real = 0.0,
) -> Result:
    """Work out an expression of a, b and c, such as `round(a * 1.5 / 8) * 8`.

    Raises ExpressionError, which quotes what could not be read or has no value.
    """
    value = evaluate(expression, {"a": a, "b": b, "c": c})
    return Result(_as_float(value), int(value), bool(value))


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ExpressionError("The result is beyond what a FLOAT holds; divide before you multiply.") from None


@node("ComfyMathExpression", category="utils", display_name="Math Expression")
def comfy_math_expression(
    expression: Annotated[
        str,
        In(
            multiline=True,
            tip="+ - * / // % ** & |, comparisons, if … else, min, max, sum(values), round, ceil, sqrt, …",
        ),
    ] = "a + b",
    *,
    values: Annotated[
        Growing, In(tip="The numbers that stand as a, b, c, … in the expression.", options={"template": _VALUES})
    ],
) -> Worked:
    """Work out an expression of the linked numbers a, b, c, …, such as `a if a > b else b`, or of all: `sum(values)`.

    Raises ExpressionError, which quotes what could not be read or has no value.
    """
    if not expression.strip():
        raise ExpressionError("ComfyMathExpression: the expression is empty; write for example a + b.")
    known = {name: values[name] for name in LETTERS if name in values}
    value = evaluate(expression, {**known, "values": tuple(known.values())})
    return Worked(_as_float(value), int(value), bool(value))


@node("CompareNumbers", category="utils/math", display_name="Compare Numbers")
def compare_numbers(a: Real = 0.0, b: Real = 0.0, comparison: Literal["==", "!=", "<", "<=", ">", ">="] = "==") -> bool:
    """Say whether the comparison holds."""
    return COMPARISONS[comparison](a, b)


@node("ConvertNumber", category="utils/math", display_name="Convert Number")
def convert_number(
    value: Annotated[int | float | bool, In(tip="A number, or true and false for 1 and 0.")],
) -> Result:
    """Give a number as each of the types: an INT goes into no FLOAT input, nor the other way round."""
    return Result(_as_float(value), int(value), bool(value))


@node("RoundNumber", category="utils/math", display_name="Round to Int")
def round_number(
    value: Real = 0.0,
    rounding: Annotated[
        Literal["nearest", "down", "up", "toward zero"], In(tip="nearest takes the even one of two.")
    ] = "nearest",
    multiple_of: Annotated[int, In(ge=1, le=2**31, tip="The result is a multiple of this.")] = 1,
) -> int:
    """Round to a whole number, or to a multiple, such as 8 for latent sizes."""
    return ROUNDINGS[rounding](value / multiple_of) * multiple_of


@node("ParseNumber", category="utils/math", display_name="Text to Number")
def parse_number(text: str = "0") -> Parsed:
    """Read a number such as 12, -0.5 or 1e-3 from a text. Raises ValueError when there is none."""
    try:
        value = float(text)
        # Beyond 2**53 a float has lost digits that a seed needs.
        return Parsed(value, int(text) if text.strip().lstrip("+-").isdecimal() else int(value))
    except (ValueError, OverflowError):
        raise ValueError(f"ParseNumber: {text[:80]!r} is no number; write for example 12 or -0.5.") from None


@node("ComfyNumberConvert", category="utils", display_name="Convert Number")
def comfy_number_convert(
    value: Annotated[
        int | float | str | bool, In(link_only=True, tip="A number, a text that is one, or true or false.")
    ],
) -> Parsed:
    """Give a number, a text such as 12 or -0.5, or true and false (1 and 0) as FLOAT and as INT.

    Raises ValueError for a text that is no number, and for what is not finite.
    """
    text = value.strip() if isinstance(value, str) else value
    try:
        if isinstance(text, str) and text.lstrip("+-").isdecimal():
            return Parsed(_finite(text), int(text))  # beyond 2**53 a float has lost digits that a seed needs
        return Parsed(_finite(text), int(text) if isinstance(text, int) else int(_finite(text)))
    except (ValueError, OverflowError):
        raise ValueError(
            f"ComfyNumberConvert: {str(value)[:80]!r} is no finite number; give it for example 12 or -0.5."
        ) from None


def _finite(value: float | str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(number)
    return number


@node("IntRange", category="utils/list", display_name="Int Range")
def int_range(start: Whole = 0, stop: Whole = 4, step: Whole = 1) -> list[int]:
    """Give start, start + step, … up to but without `stop`, as a list: nodes linked to it run once per number.

    Raises ValueError for a step of 0 and for more than 10,000 numbers.
    """
    if step == 0:
        raise ValueError("IntRange: a step of 0 never arrives; use a positive or negative one.")
    numbers = range(start, stop, step)
    if len(numbers) > MAX_LIST:
        raise ValueError(
            f"IntRange: {start} to {stop} by {step} are {len(numbers)} numbers; at most {MAX_LIST} are made."
        )
    return list(numbers)


@node("FloatRange", category="utils/list", display_name="Float Range")
def float_range(
    start: Real = 0.0,
    stop: Real = 1.0,
    count: Annotated[int, In(ge=1, le=MAX_LIST, tip="How many numbers, both ends included.")] = 5,
) -> list[float]:
    """Give `count` numbers at equal distances from `start` to `stop`: nodes linked to it run once per number."""
    return [start + (stop - start) * index / max(1, count - 1) for index in range(count)]
