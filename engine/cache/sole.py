"""Tensors that nobody else holds: what a node of a pack gave and has let go of needs no copy to be out of its reach.

A tensor is held by whoever has it, a view of it, its storage, an array or a capsule over its memory, or a container with one
of these; each of them counts as a reference, of Python or of torch. Counted are the references to a value, to all containers
that lead to it, and to its storage. What was never torch's own memory (an array's, a mapped or a shared file's) is not
counted on, nor is a pointer that outlives all of these: it points at freed memory where the value is copied, too.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from sys import getrefcount
from typing import Any, Final, Protocol
from weakref import getweakrefcount

from engine.cache.stamps import IMMUTABLE, version
from engine.loaded import loaded


class Holder(Protocol):
    """What has the values that a node gave."""

    values: tuple[Any, ...]


def held_alone(holder: Holder) -> bool:
    """Whether only `holder` has `holder.values`; the caller has no name of its own for them."""
    return _references(holder.values) == _OF_VALUES


def sole_tensors(values: Mapping[str, Any] | tuple[Any, ...]) -> dict[int, Any]:
    """The tensors in `values`, and in lists, tuples and dicts within, that nothing else leads to: identity → tensor.

    Only the caller may have `values`, and it must not have anything in them by a name of its own.
    """
    found: dict[int, Any] = {}
    torch = loaded("torch")
    if torch is None or not _COUNTS_TELL:
        return found
    todo: list[Any] = [values]
    while todo:
        container = todo.pop()
        for item in container.values() if type(container) is dict else container:
            kind = type(item)
            if kind in IMMUTABLE or getrefcount(item) != _OF_ITEM:
                continue
            if kind is torch.Tensor:
                if _is_free(item):
                    found[id(item)] = item
            elif kind is dict or kind is list or kind is tuple:
                todo.append(item)
    return found


def _is_free(value: Any) -> bool:
    """Whether nobody else reaches a plain tensor, and all of its memory was allocated by torch for it alone."""
    if not value.is_cpu or value.requires_grad or value.__dict__ or version(value) is None:
        return False
    try:
        storage = value.untyped_storage()
    except NotImplementedError:  # a sparse tensor
        return False
    return storage.nbytes() == value.nbytes and _holders(value, storage) == _alone()


def _holders(value: Any, storage: Any) -> tuple[int, int, int, int, int, bool, bool]:
    """All by which others may reach a tensor: references to it and to its storage, and what its memory is."""
    return (
        value._use_count(),
        _storage_uses(storage._cdata),
        getrefcount(storage),
        getweakrefcount(value),
        getweakrefcount(storage),
        storage.resizable(),  # memory that is another's, or that an array has seen, is not
        storage.is_shared(),
    )


@cache
def _alone() -> tuple[int, int, int, int, int, bool, bool]:
    """What `_holders` finds of a tensor that nobody else holds."""
    value = sys.modules["torch"].empty(1)
    storage = value.untyped_storage()
    return _holders(value, storage)


def _storage_uses(storage: int) -> int:
    uses: int = sys.modules["torch"]._C._storage_Use_Count(storage)
    return uses


def _references(value: Any) -> int:
    return getrefcount(value)


class _Held:
    def __init__(self) -> None:
        self.values: tuple[Any, ...] = (object(),)


def _of_values() -> int:
    held: Holder = _Held()
    return _references(held.values)


def _of_item() -> int:
    for item in (object(),):
        return getrefcount(item)
    raise AssertionError


_OF_VALUES: Final = _of_values()
"""How many references there are to `holder.values` when only `holder` has it; the interpreter's own are among them."""

_OF_ITEM: Final = _of_item()
"""The same for an item of a container that is gone through."""

_COUNTS_TELL: Final = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether a count says who holds a value: interpreters without the lock count otherwise."""
