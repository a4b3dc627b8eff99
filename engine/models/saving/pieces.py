"""Writing safetensors a tensor at a time: what a file is to hold is told first, and each tensor made when its turn comes.

The format (https://github.com/huggingface/safetensors): 8 bytes little-endian header length, a JSON object
{name: {dtype, shape, data_offsets}} padded with spaces to a multiple of 8, then the tensors' bytes without gaps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

if TYPE_CHECKING:
    from torch import Tensor

_KINDS: Final = (
    ("F64", "float64", 8),
    ("I64", "int64", 8),
    ("F32", "float32", 4),
    ("I32", "int32", 4),
    ("F16", "float16", 2),
    ("BF16", "bfloat16", 2),
    ("I16", "int16", 2),
    ("I8", "int8", 1),
    ("U8", "uint8", 1),
    ("BOOL", "bool", 1),
    ("F8_E4M3", "float8_e4m3fn", 1),
    ("F8_E5M2", "float8_e5m2", 1),
)
"""(name in safetensors, torch's, bytes)."""
_BYTES: Final = {tag: size for tag, _, size in _KINDS}
_TORCH: Final = {tag: name for tag, name, _ in _KINDS}
_TAGS: Final = {f"torch.{name}": tag for tag, name in _TORCH.items()}


class Piece(NamedTuple):
    """A tensor of a file that is to be written; `dtype` as safetensors calls it. `make` gives it, in any memory layout."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in the file."""
        return math.prod(self.shape) * _BYTES[self.dtype]


def piece_of(name: str, tensor: Tensor) -> Piece:
    """Return a tensor that is there already as a piece."""
    return Piece(name, tag_of(tensor), tuple(tensor.shape), lambda: tensor)


def tag_of(tensor: Tensor) -> str:
    """Return what safetensors calls the dtype of a tensor."""
    return _TAGS[str(tensor.dtype)]


def write_pieces(
    path: Path,
    pieces: Sequence[Piece],
    metadata: Mapping[str, str] | None = None,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Write a safetensors file at `path`; of the tensors, one is in memory at a time.

    `report(bytes written, bytes in all)` is called after each tensor, and may raise to end it: whoever calls this removes the
    file then. Raises ValueError for a tensor that is not as its piece tells, and OSError.
    """
    ordered = sorted(pieces, key=lambda piece: (-_BYTES[piece.dtype], piece.name))
    header, total = _header(ordered, metadata)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        written = 0
        for piece in ordered:
            written += file.write(_bytes(piece))
            if report is not None:
                report(written, total)


def _header(pieces: Sequence[Piece], metadata: Mapping[str, str] | None) -> tuple[bytes, int]:
    table: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for piece in pieces:
        if piece.name in table:
            raise ValueError(f"two tensors of one file are called {piece.name}")
        table[piece.name] = {
            "dtype": piece.dtype,
            "shape": list(piece.shape),
            "data_offsets": [at, at + piece.nbytes],
        }
        at += piece.nbytes
    text = json.dumps(table, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8), at


def _bytes(piece: Piece) -> memoryview:
    import torch

    tensor = piece.make().detach().cpu()
    wanted = getattr(torch, _TORCH[piece.dtype])
    if tensor.dtype != wanted or tuple(tensor.shape) != piece.shape:
        raise ValueError(
            f"{piece.name}: expected {piece.dtype} {list(piece.shape)}, got {tensor.dtype} {list(tensor.shape)}"
        )
    if not tensor.numel():
        return memoryview(b"")
    return memoryview(cast("Any", tensor.contiguous().flatten().view(torch.uint8).numpy()))
