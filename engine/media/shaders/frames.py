"""How whoever wants pictures drawn and the process that draws talk: a message of JSON, and arrays behind it."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import IO, Any, Final

IDLE_SECONDS: Final = 60.0
"""After so long without a request the process that draws ends by itself."""

_LENGTHS: Final = struct.Struct("<II")
_ARRAY: Final = struct.Struct("<Q")


def send(stream: IO[bytes], message: dict[str, Any], arrays: Sequence[Any] = ()) -> None:
    """Write `message` and `arrays` (anything with the buffer protocol, C-contiguous)."""
    head = json.dumps(message).encode()
    stream.write(_LENGTHS.pack(len(head), len(arrays)))
    stream.write(head)
    for array in arrays:
        view = memoryview(array).cast("B")
        stream.write(_ARRAY.pack(len(view)))
        stream.write(view)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytearray]] | None:
    """The next message and its arrays; None at the end of the stream."""
    lengths = _read(stream, _LENGTHS.size)
    if lengths is None:
        return None
    head_length, count = _LENGTHS.unpack(lengths)
    head = _read(stream, head_length)
    arrays: list[bytearray] = []
    for _ in range(count):
        length = _read(stream, _ARRAY.size)
        array = None if length is None else _read(stream, _ARRAY.unpack(length)[0])
        if array is None:
            return None
        arrays.append(array)
    return None if head is None else (json.loads(head), arrays)


def _read(stream: IO[bytes], count: int) -> bytearray | None:
    data = bytearray(count)
    view, at = memoryview(data), 0
    while at < count:
        got = stream.readinto(view[at:])  # type: ignore[attr-defined]
        if not got:
            return None
        at += got
    return data
