"""Short descriptions of values, for events and error messages."""

from __future__ import annotations

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
        return f"Tensor {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    if is_array(value):
        return f"array {value.shape} {value.dtype}"
    if kind is list or kind is tuple:
        return f"{kind.__name__} of {len(value)}" + (f": {describe(value[0])}" if len(value) == 1 else "")
    if kind is dict:
        parts = ", ".join(f"{key}: {_brief(item)}" for key, item in list(value.items())[:4])
        return f"{{{parts}{', …' if len(value) > 4 else ''}}}"
    return str(kind.__name__)


def _brief(value: Any) -> str:
    return describe(value) if not isinstance(value, dict | list | tuple) else type(value).__name__
