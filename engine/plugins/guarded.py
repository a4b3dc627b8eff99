"""Whether a line of source code is ready for what it asks for not to be there: then it gets an honest no."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

IMPORT: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
"""Errors of a missing module or name in it."""

ATTRIBUTE: Final = frozenset({"AttributeError", "Exception", "BaseException"})

_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
"""What stands in these runs later, outside of the `try` around them."""


def is_guarded(path: str, line: int, errors: frozenset[str]) -> bool:
    """Whether the line stands in a `try` (or a `suppress`) that goes on after one of `errors`, in its own function.

    One that only tells of the error and raises again is no guard. False for code whose source is not at hand.
    """
    return any(first <= line <= last and errors & caught for first, last, caught in _guards(path))


@lru_cache(maxsize=64)
def _guards(path: str) -> tuple[tuple[int, int, frozenset[str]], ...]:
    try:
        tree = ast.parse("".join(linecache.getlines(path)))
    except (SyntaxError, ValueError, RecursionError):
        return ()
    found = []
    for node in ast.walk(tree):
        body = _guarded_body(node)
        if body is not None:
            caught, statements = body
            found += [(first, last, caught) for first, last in _lines(statements)]
    return tuple(found)


def _guarded_body(node: ast.AST) -> tuple[frozenset[str], list[ast.stmt]] | None:
    if isinstance(node, ast.Try):
        going_on = [one for one in node.handlers if not isinstance(one.body[-1], ast.Raise)]
        caught = frozenset(name for one in going_on for name in _names(one.type))
        return (caught, node.body) if caught else None
    if isinstance(node, ast.With):
        calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
        suppressed = [call for call in calls if next(_names(call.func), "") == "suppress"]
        caught = frozenset(name for call in suppressed for argument in call.args for name in _names(argument))
        return (caught, node.body) if caught else None
    return None


def _names(errors: ast.expr | None) -> Iterator[str]:
    """The last names of what an `except` catches; a bare one catches everything."""
    if errors is None:
        yield "BaseException"
    elif isinstance(errors, ast.Tuple):
        for one in errors.elts:
            yield from _names(one)
    elif isinstance(errors, ast.Attribute):
        yield errors.attr
    elif isinstance(errors, ast.Name):
        yield errors.id


def _lines(statements: list[ast.stmt]) -> Iterator[tuple[int, int]]:
    """(First, last) lines that run when the statements do: without the insides of functions that are only made there."""
    for one in statements:
        inner = [node for node in ast.walk(one) if isinstance(node, _LATER)]
        if not inner:
            yield one.lineno, one.end_lineno or one.lineno
        elif not isinstance(one, _LATER):
            nested = {id(deep) for node in inner for deep in ast.walk(node)}
            for node in ast.walk(one):
                if isinstance(node, ast.stmt) and id(node) not in nested and not hasattr(node, "body"):
                    yield node.lineno, node.end_lineno or node.lineno
