"""Stamps: cheap evidence that a stored value is still what it was when it was stored."""

from __future__ import annotations

from typing import Any

from engine.cache.digests import digest, is_array, is_tensor

IMMUTABLE = frozenset({int, float, str, bool, type(None), bytes})
"""Types whose values nobody can write into; they need no stamp."""


def stamp(value: Any) -> Any:
    """Evidence of the present state of `value`, to be compared with `==` later; None where nothing can change.

    Tensors count by identity and version counter, which torch raises on every write in place, through views too. Numpy
    arrays and tensors made in inference mode have no counter and count by content. Lists and dicts count by their parts.
    """
    kind = type(value)
    if kind in IMMUTABLE:
        return None
    if kind is list or kind is tuple:
        return (id(value), *[_part(item) for item in value])
    if kind is dict:
        return (id(value), *[(key, _part(item)) for key, item in value.items()])
    return _leaf(value)


def _part(value: Any) -> Any:
    return value if type(value) in IMMUTABLE else stamp(value)


def _leaf(value: Any) -> Any:
    if is_tensor(value):
        return id(value), version(value)
    if is_array(value):
        return digest(value)
    return id(value)


def version(tensor: Any) -> int | None:
    """How often torch wrote into a tensor; None of one made in inference mode, of which torch does not count it."""
    try:
        count: int = tensor._version  # unlike `is_inference()` it does not let go of the interpreter's lock
    except RuntimeError:
        return None
    return count
