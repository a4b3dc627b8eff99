"""Which values JSON can hold, so that editors, prompts and the stored catalogue give them back as they were."""

from __future__ import annotations

import math
from typing import Any

_SCALARS = frozenset({str, int, bool, type(None)})


def is_json(value: Any) -> bool:
    """Whether `value` is made of text, finite numbers, booleans, None, lists, and dicts with text as keys."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is list:
        return all(map(is_json, value))
    return kind is dict and all(type(key) is str and is_json(item) for key, item in value.items())
