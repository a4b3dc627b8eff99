"""Arithmetic written as text, worked out without ever running it as Python: only the grammar below exists."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Number: TypeAlias = int | float | bool
Value: TypeAlias = Number | Sequence[Number]
"""What a name stands for: a number, or several that sum, min and max take."""

MAX_LENGTH = 500
"""Characters in an expression."""

MAX_BITS = 1024
"""Bits of a whole number on the way; floats reach no further either."""

CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e, "tau": math.tau, "True": True, "False": False}


def _round(value: Number, digits: int = 0) -> Number:
    """Round half to even; `digits` beyond what floats have would only cost time and memory."""
    if abs(digits) > 400:
        raise ValueError(f"{digits} digits are too large a number")
    return round(value, digits) if digits else round(value)


def power(base: Number, exponent: Number) -> Number:
    """`base ** exponent`, with whole results up to MAX_BITS bits and no complex ones. Raises ValueError otherwise."""
    whole = isinstance(base, int) and isinstance(exponent, int) and exponent >= 0
    if whole and abs(base) > 1 and int(base).bit_length() * exponent > MAX_BITS:
        raise ValueError(f"{base} ** {exponent} is too large")
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError(f"{base} ** {exponent} is not a real number")
    return result


def _sum(numbers: Sequence[Number]) -> Number:
    """The sum of a list; one number is no list, and two arguments are none either."""
    return sum(numbers)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "bool": bool,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "float": float,
    "floor": math.floor,
    "int": int,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "min": min,
    "pow": power,
    "round": _round,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "sum": _sum,
    "tan": math.tan,
}

COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}


class ExpressionError(ValueError):
    """An expression that cannot be read or has no value; the message quotes it and says what to change."""


def multiply(first: Number, second: Number) -> Number:
    """`first * second`, with whole results up to MAX_BITS bits. Raises ValueError beyond."""
    result = first * second
    if isinstance(result, int) and result.bit_length() > MAX_BITS:
        raise ValueError("a product is too large")
    return result


BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: multiply,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: power,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}


def evaluate(expression: str, variables: Mapping[str, Value]) -> Number:
    """The value of `expression`, in which `variables` may stand.

    Understands numbers, + - * / // % **, & | ^ ~ of whole ones,
    comparisons, `and`, `or`, `not`, `x if c else y`, CONSTANTS and FUNCTIONS.
    Raises ExpressionError for anything else, for division by zero and for results out of range.
    """
    if len(expression) > MAX_LENGTH:
        raise ExpressionError(
            f"The expression has {len(expression)} characters; at most {MAX_LENGTH} are read. Split it into several nodes."
        )
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        value = _value(tree.body, {**CONSTANTS, **variables})
        return _checked(value)
    except SyntaxError as error:
        raise ExpressionError(f"Cannot read {expression!r}: {error.msg}. Write for example (a + b) * 2.") from None
    except ZeroDivisionError:
        raise ExpressionError(f"{expression!r} divides by zero with {_listed(variables)}.") from None
    except (RecursionError, MemoryError):
        raise ExpressionError("The expression is nested too deeply; split it into several nodes.") from None
    except (ValueError, OverflowError, TypeError) as error:
        raise ExpressionError(f"{expression!r} has no value with {_listed(variables)}: {error}.") from None


def _checked(value: Any) -> Number:
    if not isinstance(value, int | float):
        raise TypeError(f"the result is {value!r}, not a number")
    if not math.isfinite(value):
        raise ValueError("the result is not finite")
    return value


def _listed(variables: Mapping[str, Value]) -> str:
    told = ", ".join(f"{name} = {value}" for name, value in variables.items()) or "no variables"
    return told if len(told) <= MAX_LENGTH else f"{told[:MAX_LENGTH]} …"


def _value(tree: ast.expr, names: Mapping[str, Value]) -> Any:
    match tree:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name):
            return _named(name, names)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return UNARY[type(op)](_single(operand, names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return BINARY[type(op)](_single(left, names), _single(right, names))
        case ast.BoolOp(op=op, values=values):
            return _either_or_both(isinstance(op, ast.Or), values, names)
        case ast.Compare():
            return _compared(tree, names)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, names) else orelse, names)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name](*(_value(arg, names) for arg in args))
    raise ValueError(
        f"{ast.unparse(tree)!r} is not part of the language; use numbers, {', '.join(names)}, + - * / // % ** & | ^ ~, "
        f"comparisons, and, or, not, if … else, and {', '.join(FUNCTIONS)}"
    )


def _single(tree: ast.expr, names: Mapping[str, Value]) -> Number:
    """The value of an operand: one number, as a list times a number would be a longer list."""
    found = _value(tree, names)
    if not isinstance(found, int | float):
        raise TypeError(f"{ast.unparse(tree)!r} is several numbers; take their sum, min or max")
    return found


def _named(name: str, names: Mapping[str, Value]) -> Value:
    if name not in names:
        raise ValueError(f"there is no {name!r}; known are {', '.join(names)} and the functions {', '.join(FUNCTIONS)}")
    return names[name]


def _either_or_both(either: bool, values: list[ast.expr], names: Mapping[str, Value]) -> Any:
    result: Any = None
    for tree in values:
        result = _value(tree, names)
        if bool(result) == either:
            break
    return result


def _compared(tree: ast.Compare, names: Mapping[str, Value]) -> bool:
    left = _value(tree.left, names)
    for op, comparator in zip(tree.ops, tree.comparators):
        if type(op) not in COMPARISONS:
            raise ValueError("only ==, !=, <, <=, > and >= compare numbers")
        right = _value(comparator, names)
        if not COMPARISONS[type(op)](left, right):
            return False
        left = right
    return True
