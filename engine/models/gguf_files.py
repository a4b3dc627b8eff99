"""Reading GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3. No torch for headers.

Dimensions stand there the other way round; tensors that do not fit their blocks were reshaped, and metadata has their shape as
`comfy.gguf.orig_shape.NAME`. A tensor in blocks has the dtype `GGUF_` and its kind, and is read as its bytes. What the tensors
are called and worth elsewhere is `gguf_tensors`'.
"""

from __future__ import annotations

import math
import mmap
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from engine.models.errors import CheckpointError
from engine.models.shapes import Shape

SUFFIX: Final = ".gguf"
BLOCKS: Final = "GGUF_"
"""What dtypes of tensors in blocks begin with."""

_PLAIN: Final = {0: "F32", 1: "F16", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 30: "BF16"}
NUMPY: Final = {
    "F32": "<f4",
    "F16": "<f2",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "F64": "<f8",
    "BF16": "<u2",
}
"""numpy's types by dtype; BF16 is read as the bits of it."""
_BLOCKS: Final = {
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136),
}
"""Kind, numbers and bytes of a block by ggml's number for it."""

_SCALARS: Final = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
ARCHITECTURE: Final = "general.architecture"
"""The fact that says what kind of model a file holds."""

_ORIGINAL: Final = "comfy.gguf.orig_shape."


class Kind(NamedTuple):
    """How numbers stand in blocks."""

    name: str
    numbers: int
    size: int


class Entry(NamedTuple):
    """A tensor of a file: where its bytes are."""

    shape: Shape
    dtype: str
    begin: int
    size: int


def kind_named(name: str) -> Kind:
    """Return a kind of block. CheckpointError for one that only the package `gguf` knows, which is not there."""
    for found in _BLOCKS.values():
        if found[0] == name:
            return Kind(*found)
    types, sizes = _library(f"blocks of the kind {name}")
    return Kind(name, *sizes[types[name]])


def table(path: Path) -> tuple[dict[str, Entry], dict[str, Any]]:
    """Return a file's tensors by the names that it has for them, and its facts without lists of texts.

    Raises CheckpointError naming the file and what is wrong with it.
    """
    about = path.stat()
    return _read_table(path, about.st_size, about.st_mtime_ns)


def facts(path: Path) -> dict[str, Any]:
    """Return a file's facts with their lists of texts, as tokens by the ten thousands. Raises CheckpointError as `table`."""
    return _read(path, texts=True)[1]


@lru_cache(maxsize=16)
def _read_table(path: Path, size: int, changed: int) -> tuple[dict[str, Entry], dict[str, Any]]:
    return _read(path, texts=False)


def _read(path: Path, *, texts: bool) -> tuple[dict[str, Entry], dict[str, Any]]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data, path, texts).table()
    except (
        ValueError,
        struct.error,
        UnicodeDecodeError,
        IndexError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as problem:
        raise CheckpointError(
            f"{path}: not a GGUF file, or truncated: {problem}. Download or export the file again."
        ) from problem


class _Reader:
    def __init__(self, data: mmap.mmap, path: Path, texts: bool) -> None:
        self._data = data
        self._path = path
        self._texts = texts
        self._at = 0

    def table(self) -> tuple[dict[str, Entry], dict[str, Any]]:
        """Return the tensors' entries and the metadata."""
        if self._data[:4] != b"GGUF":
            raise ValueError(f"it begins with {bytes(self._data[:4])!r}")
        self._at = 4
        if (version := self._number("I")) not in (2, 3):
            raise ValueError(f"its version is {version}, where 2 or 3 was expected")
        tensors, facts = self._number("Q"), self._number("Q")
        told = {self._text(): self._value(self._number("I")) for _ in range(facts)}
        infos = [self._info() for _ in range(tensors)]
        alignment = told.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            raise ValueError(f"its alignment is {alignment!r}, where a number of bytes was expected")
        start = -(-self._at // alignment) * alignment
        entries = {name: self._entry(name, start, shape, kind, at, told) for name, shape, kind, at in infos}
        if (needed := max((entry.begin + entry.size for entry in entries.values()), default=0)) > len(self._data):
            raise ValueError(f"{needed} bytes are promised, the file has {len(self._data)}")
        return entries, told

    def _info(self) -> tuple[str, Shape, int, int]:
        name = self._text()
        shape = tuple(self._number("Q") for _ in range(self._number("I")))[::-1]
        return name, shape, self._number("I"), self._number("Q")

    def _entry(self, name: str, start: int, shape: Shape, number: int, at: int, told: dict[str, Any]) -> Entry:
        count = math.prod(shape)
        if number in _PLAIN:
            dtype = _PLAIN[number]
            size = count * np.dtype(NUMPY[dtype]).itemsize
        else:
            kind = Kind(*_BLOCKS[number]) if number in _BLOCKS else self._unusual(name, number)
            if not shape or shape[-1] % kind.numbers:
                raise ValueError(f"{name}: rows of {shape[-1:]} numbers in blocks of {kind.numbers}")
            dtype, size = BLOCKS + kind.name, count // kind.numbers * kind.size
        original = told.get(_ORIGINAL + name, ())
        if not isinstance(original, tuple):
            raise ValueError(f"{name}: {original!r} for its shape, where a list of numbers was expected")
        return Entry(original if math.prod(original or (0,)) == count else shape, dtype, start + at, size)

    def _unusual(self, name: str, number: int) -> Kind:
        types, sizes = _library(f"{self._path}: {name}, of ggml's type {number},")
        kind = types(number)
        return Kind(kind.name, *sizes[kind])

    def _number(self, kind: str) -> Any:
        value = struct.unpack_from(f"<{kind}", self._data, self._at)[0]
        self._at += struct.calcsize(f"<{kind}")
        return value

    def _text(self) -> str:
        size = self._number("Q")
        self._at += size
        if self._at > len(self._data):
            raise ValueError("a text ends after the file")
        return self._data[self._at - size : self._at].decode()

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            return self._number(_scalar(kind))
        inner, count = self._number("I"), self._number("Q")
        if inner == _STRING and self._texts:
            return tuple(self._text() for _ in range(count))
        if inner == _STRING:
            for _ in range(count):
                size = self._number("Q")  # which moves on itself
                self._at += size
            return ()
        if inner == _ARRAY:
            return [self._value(inner) for _ in range(count)]
        values = struct.unpack_from(f"<{count}{_scalar(inner)}", self._data, self._at)
        self._at += struct.calcsize(f"<{count}{_scalar(inner)}")
        return values


def _scalar(kind: int) -> str:
    if kind not in _SCALARS:
        raise ValueError(f"a fact of the kind {kind}, which there is not")
    return _SCALARS[kind]


def _library(what: str) -> tuple[Any, Any]:
    """Return the types of the package `gguf` and their sizes."""
    try:
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    except ImportError:
        raise CheckpointError(
            f"{what} needs the package gguf. Install it with `pip install safelight[gguf]`."
        ) from None
    return GGMLQuantizationType, GGML_QUANT_SIZES
