"""JSON text from outside as plain values, or one clear problem."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from engine.graph.problems import GraphError, problem

MAX_DEPTH: Final = 128
"""How deep lists and objects may stand in each other: much of what reads a graph does so by recursion."""


def parse_json(text: str | bytes) -> Any:
    """Return the value of JSON text (bytes: UTF-8, a byte order mark may stand before it).

    `NaN` and infinities, which Python programs write though JSON has none, become null. Raises GraphError `invalid_json`,
    with line and column, for everything else that is not JSON, is nested deeper than MAX_DEPTH, or has text that is no
    Unicode.
    """
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        value = _explained(text)
    # Counting is far cheaper than walking, and many graphs have fewer brackets than may be nested.
    brackets = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if brackets > MAX_DEPTH and _deeper(value, MAX_DEPTH):
        raise _invalid(f"nested deeper than {MAX_DEPTH} levels")
    return value


def _explained(text: str | bytes) -> Any:
    """The slow way: accepts what msgspec is too strict for, and knows where the trouble is."""
    try:
        value = json.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
        return msgspec.json.decode(msgspec.json.encode(value))
    except json.JSONDecodeError as error:
        details = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except UnicodeDecodeError as error:
        details = f"byte {error.start} is not UTF-8 text"
    except UnicodeEncodeError:
        details = "an escape like \\ud800 stands for half a letter"
    except RecursionError:
        details = f"nested deeper than {MAX_DEPTH} levels"
    except (ValueError, OverflowError) as error:
        details = str(error)
    raise _invalid(details)


def _deeper(value: Any, limit: int) -> bool:
    """Whether `value` is nested deeper than `limit`. Walks level by level, not by recursion."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for item in level
            for inner in (item.values() if item.__class__ is dict else item)
            if inner.__class__ is list or inner.__class__ is dict
        ]
        if not level:
            return False
    return True


def _invalid(details: str) -> GraphError:
    return GraphError([problem("invalid_json", details=details)])
