"""JSON text from outside as plain values, or one clear problem."""

from __future__ import annotations

import functools
import json
from typing import Any, Final, NewType

import msgspec

from engine.graph.problems import GraphError, problem

MAX_DEPTH: Final = 128
"""How deep lists and objects may stand in each other: much of what reads a graph does so by recursion."""
_USUAL_DEPTH: Final = 10


def parse_json(text: str | bytes) -> Any:
    """Return the value of JSON text (bytes: UTF-8, a byte order mark may stand before it).

    `NaN` and infinities, which Python programs write though JSON has none, are read as they are meant. Raises GraphError
    `invalid_json`, with line and column, for everything else that is not JSON, is nested deeper than MAX_DEPTH, or has
    text that is no Unicode.
    """
    try:
        return _shallow().decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):  # seldom: deep, or not JSON at all
        value = _explained(text)
    if _deeper(value, MAX_DEPTH):
        raise _invalid(f"nested too deeply: more than {MAX_DEPTH} levels")
    return value


@functools.cache
def _shallow() -> msgspec.json.Decoder[Any]:
    """A decoder that refuses what is nested deeper than graphs usually are; it costs no more than one that refuses nothing.

    A walk afterwards would cost as much as the decoding. The time to make the decoder doubles with each level: 4 ms.
    """
    plain = str | int | float | bool | None
    named: Any = NewType  # a union's hash walks all of it, a name's does not
    level: Any = plain
    for _ in range(_USUAL_DEPTH):
        level = named("Level", plain | list[level] | dict[str, level])
    return msgspec.json.Decoder(level)


def _explained(text: str | bytes) -> Any:
    """The slow way: accepts what msgspec is too strict for, and knows where the trouble is."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    try:
        value = json.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
        msgspec.json.encode(value)  # what cannot be written again is refused now, not when it is stored
        return value
    except json.JSONDecodeError as error:
        details = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except UnicodeDecodeError as error:
        details = f"byte {error.start} is not UTF-8 text"
    except UnicodeEncodeError:
        details = "an escape like \\ud800 stands for half a letter"
    except RecursionError:
        details = f"nested too deeply: more than {MAX_DEPTH} levels"
    except (ValueError, OverflowError) as error:
        details = str(error)
    raise _invalid(details)


def _deeper(value: Any, limit: int) -> bool:
    """Whether `value` is nested deeper than `limit`. Walks level by level, not by recursion."""
    level = [value] if isinstance(value, list | dict) else []
    for _ in range(limit):
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
