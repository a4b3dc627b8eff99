"""Codecs: how values become bytes on disk and values again.

A payload is `magic, checksum, length of the head, head, tensors`. The head is msgpack and describes the value; the bytes of
tensors and numpy arrays follow it, each at a multiple of 64, so that reading maps the file and copies nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from xxhash import xxh3_128, xxh3_128_digest

from engine.cache.digests import is_array, is_tensor, tensor_bytes

MAGIC = b"SLV1"
ALIGNMENT = 64
_PREFIX = len(MAGIC) + 16 + 4

Buffer: TypeAlias = bytes | bytearray | memoryview


class CodecError(ValueError):
    """A value has no codec, or bytes are not what a codec wrote (cut short, changed, of an unknown type)."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How values of one type are stored, in terms of values that can be stored already.

    `to_plain` turns a value for which `matches` holds into scalars, text, bytes, lists, dicts, tensors, or values of other
    codecs; `from_plain` is its inverse. `tag` names the codec on disk and never changes its meaning.
    """

    tag: str
    matches: Callable[[Any], bool]
    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]


class Codecs:
    """Encodes and decodes values, with the codecs that the program registered for its own types."""

    def __init__(self, codecs: Iterable[Codec] = ()) -> None:
        self._codecs = tuple(codecs)
        self._by_tag = {codec.tag: codec for codec in self._codecs}

    def encode(self, value: Any) -> list[Buffer]:
        """The payload of `value` in pieces to be written one after the other. Raises CodecError when it has no codec."""
        blobs: list[Buffer] = []
        try:
            head = _ENCODER.encode(self._plain(value, blobs))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise CodecError(f"No codec for this value of type {type(value).__name__}: {error}") from error
        pieces: list[Buffer] = [len(head).to_bytes(4, "little"), head]
        place = _PREFIX + len(head)
        for blob in blobs:
            padding = -place % ALIGNMENT
            pieces += [bytes(padding), blob]
            place += padding + len(blob)
        state = xxh3_128()
        for piece in pieces:
            state.update(piece)
        return [MAGIC, state.digest(), *pieces]

    def decode(self, data: Buffer) -> Any:
        """The value of a payload; its tensors and arrays are views of `data`. Raises CodecError when it is not whole."""
        view = memoryview(data)
        if len(view) < _PREFIX or view[:4] != MAGIC:
            raise CodecError("not a stored value, or cut short")
        if xxh3_128_digest(view[20:]) != bytes(view[4:20]):
            raise CodecError("checksum does not match: cut short or changed")
        size = int.from_bytes(view[20:24], "little")
        try:
            head = _DECODER.decode(view[_PREFIX : _PREFIX + size])
            return self._value(head, _Blobs(view, _PREFIX + size))
        except (msgspec.DecodeError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise CodecError(f"not what this version writes: {error}") from error

    def _plain(self, value: Any, blobs: list[Buffer]) -> Any:
        """Scalars stand for themselves; everything else is a list that begins with its kind."""
        kind = type(value)
        if kind in _SCALARS:
            return value if kind is not int or -(1 << 63) <= value < (1 << 64) else ["int", str(value)]
        if kind is list or kind is tuple:
            return [kind.__name__, *[self._plain(item, blobs) for item in value]]
        if kind is dict:
            return ["dict", *[(self._plain(key, blobs), self._plain(item, blobs)) for key, item in value.items()]]
        for codec in self._codecs:
            if codec.matches(value):
                return ["codec", codec.tag, self._plain(codec.to_plain(value), blobs)]
        if is_tensor(value):
            return _plain_tensor(value, blobs)
        if is_array(value):
            return _plain_array(value, blobs)
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} is not registered")

    def _value(self, plain: Any, blobs: _Blobs) -> Any:
        if type(plain) is not list:
            return plain
        kind, *rest = plain
        if kind == "list":
            return [self._value(item, blobs) for item in rest]
        if kind == "tuple":
            return tuple([self._value(item, blobs) for item in rest])
        if kind == "dict":
            return {self._value(key, blobs): self._value(item, blobs) for key, item in rest}
        if kind == "codec":
            return self._by_tag[rest[0]].from_plain(self._value(rest[1], blobs))
        return _LEAVES[kind](rest, blobs)


class _Blobs:
    """Hands out the raw parts of a payload in the order they were written."""

    def __init__(self, view: memoryview, place: int) -> None:
        self._view = view
        self._place = place

    def take(self, size: int) -> memoryview:
        start = self._place + -self._place % ALIGNMENT
        self._place = start + size
        if self._place > len(self._view):
            raise CodecError("cut short")
        return self._view[start : self._place]


_SCALARS = frozenset({int, float, str, bool, type(None), bytes})
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder()


def _plain_tensor(value: Any, blobs: list[Buffer]) -> list[Any]:
    torch = sys.modules["torch"]
    if value.layout is not torch.strided or value.is_quantized or value.device.type == "meta":
        raise TypeError(f"a tensor of layout {value.layout} on {value.device}")
    data = memoryview(tensor_bytes(value).cpu().numpy())
    blobs.append(data)
    return ["tensor", str(value.dtype).removeprefix("torch."), list(value.shape), len(data)]


def _plain_array(value: Any, blobs: list[Buffer]) -> list[Any]:
    numpy = sys.modules["numpy"]
    if value.dtype.hasobject or value.dtype.names:
        raise TypeError(f"a numpy array of {value.dtype}")
    data = memoryview(numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8))
    blobs.append(data)
    return ["scalar" if isinstance(value, numpy.generic) else "array", value.dtype.str, list(value.shape), len(data)]


def _tensor(facts: Sequence[Any], blobs: _Blobs) -> Any:
    import torch

    dtype, shape, size = facts
    if size == 0:
        return torch.empty(shape, dtype=getattr(torch, dtype))
    data = blobs.take(size)
    writable = data if not data.readonly else bytearray(data)  # torch refuses to promise not to write
    return torch.frombuffer(writable, dtype=getattr(torch, dtype)).reshape(shape)


def _array(facts: Sequence[Any], blobs: _Blobs) -> Any:
    import numpy

    dtype, shape, size = facts
    if size == 0:
        return numpy.empty(shape, dtype=dtype)
    return numpy.frombuffer(blobs.take(size), dtype=dtype).reshape(shape)


_LEAVES: dict[str, Callable[[Sequence[Any], _Blobs], Any]] = {
    "tensor": _tensor,
    "array": _array,
    "scalar": lambda facts, blobs: _array(facts, blobs)[()],
    "int": lambda facts, blobs: int(facts[0]),
}
