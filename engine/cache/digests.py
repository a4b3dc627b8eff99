"""Digests: 128-bit names of values by content."""

from __future__ import annotations

import ctypes
import dataclasses
import struct
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
from xxhash import xxh3_128, xxh3_128_digest

from engine.datatypes.identity import Identified

Digest: TypeAlias = bytes
"""16 bytes that name one value."""

CHUNK_BYTES = 64 << 20
"""Tensors that are not in main memory are copied over and hashed in pieces of this size."""

_CANONICAL_NAN = struct.pack("<d", float("nan"))


class _NoContent(Exception):  # noqa: N818 - a signal inside this file, never an error a caller sees
    """Raised inside when a part of a value has no content that can be hashed."""


def digest(value: Any) -> Digest | None:
    """Name `value` by content, or return None where that is impossible (the caller then uses the action that made it).

    Scalars and text are type-tagged: 1, 1.0 and True differ, as do 0.0 and -0.0; all NaN are one. Lists, tuples and dicts
    (in any order of their keys) go by their parts; torch tensors and numpy arrays by dtype, shape and bytes; values with
    `identity()` by that; frozen dataclasses and frozen msgspec Structs by class and fields.
    """
    scalar = _SCALARS.get(type(value))
    if scalar is not None:
        return xxh3_128_digest(scalar(value))
    try:
        return _composite(value)
    except (_NoContent, RecursionError):
        return None


def constant_bytes(value: Any) -> bytes:
    """Canonical, self-delimiting bytes of a JSON constant, for action keys; raises TypeError for what has no digest."""
    scalar = _SCALARS.get(type(value))
    if scalar is not None:
        data = scalar(value)
        return b"%d:" % len(data) + data
    found = digest(value)
    if found is None:
        raise TypeError(f"A constant of type {type(value).__name__} cannot be part of an action key.")
    return b"D" + found


def _float_bytes(value: float) -> bytes:
    return b"f" + (struct.pack("<d", value) if value == value else _CANONICAL_NAN)


_SCALARS: dict[type, Callable[[Any], bytes]] = {
    int: lambda value: b"i%d" % value,
    str: lambda value: b"s" + value.encode("utf-8", "surrogatepass"),
    float: _float_bytes,
    bool: lambda value: b"b1" if value else b"b0",
    type(None): lambda value: b"n",
    bytes: lambda value: b"y" + value,
}


def _part(value: Any) -> Digest:
    scalar = _SCALARS.get(type(value))
    return xxh3_128_digest(scalar(value)) if scalar is not None else _composite(value)


def _composite(value: Any) -> Digest:
    kind = type(value)
    if kind is list:
        return xxh3_128_digest(b"L" + b"".join([_part(item) for item in value]))
    if kind is tuple:
        return xxh3_128_digest(b"T" + b"".join([_part(item) for item in value]))
    if kind is dict:
        return xxh3_128_digest(b"M" + b"".join(sorted(_part(key) + _part(item) for key, item in value.items())))
    if is_tensor(value):
        return _tensor(value)
    if is_array(value):
        return _array(value)
    if isinstance(value, Identified) and not isinstance(value, type):
        return xxh3_128_digest(b"H" + kind.__qualname__.encode() + b"\0" + value.identity().encode())
    return _record(value, kind)


def _record(value: Any, kind: type) -> Digest:
    """Name a frozen dataclass or Struct by its class and fields."""
    names = frozen_fields(kind)
    if names is None:
        raise _NoContent
    head = f"R{kind.__module__}.{kind.__qualname__}\0".encode()
    return xxh3_128_digest(head + b"".join([_part(getattr(value, name)) for name in names]))


def has_content(value: Any) -> bool:
    """Whether `digest` can name `value`. Hashes nothing."""
    try:
        return _all_named(value)
    except RecursionError:
        return False


def _all_named(value: Any) -> bool:
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is list or kind is tuple:
        return all(_all_named(item) for item in value)
    if kind is dict:
        return all(_all_named(key) and _all_named(item) for key, item in value.items())
    if is_tensor(value):
        return _is_hashable(value)
    if is_array(value):
        return not value.dtype.hasobject
    if isinstance(value, Identified) and not isinstance(value, type):
        return True
    names = frozen_fields(kind)
    return names is not None and all(_all_named(getattr(value, name)) for name in names)


def frozen_fields(kind: type) -> tuple[str, ...] | None:
    """The names of the fields of a frozen dataclass or Struct, or None for any other class."""
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__ if kind.__struct_config__.frozen else None
    if dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]  # of Python, undeclared
        return tuple(field.name for field in dataclasses.fields(kind))
    return None


def is_tensor(value: Any) -> bool:
    """Whether `value` is a torch tensor; never imports torch (without torch there are no tensors)."""
    if type(value) in _TENSOR:
        return True
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    if kind is None:
        return False
    _TENSOR.add(kind)
    return isinstance(value, kind)


_TENSOR: set[type] = set()
"""The class of plain tensors, once there is one: they are asked for more often than all others."""


def is_array(value: Any) -> bool:
    """Whether `value` is a numpy array or numpy scalar; never imports numpy."""
    numpy: Any = sys.modules.get("numpy")
    kind = getattr(numpy, "ndarray", None)
    return kind is not None and isinstance(value, (kind, numpy.generic))


def _tensor(value: Any) -> Digest:
    if not _is_hashable(value):
        raise _NoContent
    state = xxh3_128(_tensor_head(value.dtype, value.shape))
    if _is_laid_out(value):
        return _of_memory(state, value)
    flat = tensor_bytes(value)
    for start in range(0, flat.numel(), CHUNK_BYTES):
        state.update(flat[start : start + CHUNK_BYTES].cpu().numpy())
    return state.digest()


@lru_cache(maxsize=1024)
def _tensor_head(dtype: Any, shape: Any) -> bytes:
    return f"t{dtype}{tuple(shape)}".encode()


def _is_hashable(value: Any) -> bool:
    torch = sys.modules["torch"]
    return value.layout is torch.strided and not value.is_quantized and not value.is_meta


def _is_laid_out(value: Any) -> bool:
    """Whether the memory of a strided tensor holds its numbers in their order and nothing else."""
    torch = sys.modules["torch"]
    plain = type(value) is torch.Tensor or type(value) is torch.nn.Parameter
    return plain and value.is_cpu and value.is_contiguous() and not (value.is_conj() or value.is_neg())


def _of_memory(state: xxh3_128, value: Any) -> Digest:
    """The digest once the memory of a tensor is added. A tenth of the time of an array over it, where that is small."""
    size = value.numel() * value.element_size()
    if size:
        state.update((ctypes.c_char * size).from_address(value.data_ptr()))
    return state.digest()


def tensor_bytes(value: Any) -> Any:
    """The bytes of a strided tensor as a flat uint8 tensor on the same device (a view where it is contiguous)."""
    torch = sys.modules["torch"]
    flat = value.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    if flat.dtype.is_complex:
        flat = torch.view_as_real(flat).reshape(-1)
    return flat.view(torch.uint8)


def _array(value: Any) -> Digest:
    numpy = sys.modules["numpy"]
    if value.dtype.hasobject:
        raise _NoContent
    state = xxh3_128(f"a{value.dtype.descr}{value.shape}".encode())
    state.update(numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8))
    return state.digest()
