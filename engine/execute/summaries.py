"""Short descriptions of values, for events and error messages."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import Any

from engine.cache.digests import is_array, is_tensor

LONGEST = 80


def describe(value: Any) -> str:
    """`value` in at most about eighty characters: type and shape of tensors, keys of dicts, the start of text."""
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        text = repr(value)
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    if is_tensor(value):
        return _tensor(value.shape, value.dtype)
    if is_array(value):
        return f"array {value.shape} {value.dtype}"
    if kind is list or kind is tuple:
        return f"{kind.__name__} of {len(value)}" + (f": {describe(value[0])}" if len(value) == 1 else "")
    if kind is dict:
        parts = ", ".join([f"{key}: {_brief(item)}" for key, item in islice(value.items(), 4)])
        return f"{{{parts}{', …' if len(value) > 4 else ''}}}"
    return str(kind.__name__)


@lru_cache(maxsize=1024)
def _tensor(shape: Any, dtype: Any) -> str:
    return f"Tensor {tuple(shape)} {str(dtype).removeprefix('torch.')}"


def _brief(value: Any) -> str:
    return describe(value) if not isinstance(value, dict | list | tuple) else type(value).__name__
