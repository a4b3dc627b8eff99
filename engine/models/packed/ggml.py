"""The blocks of ggml, as GGUF files have them, unpacked by torch on whatever device they are.

A row is a sequence of blocks of 32 numbers, or of 256 in eight or sixteen smaller blocks whose factors are packed themselves.
Layouts are those of ggml's `ggml-common.h`; `gguf.quants` has the same in numpy, with which these agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

_UNEVEN: Final = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""What the numbers of IQ4 are worth."""


def unpacked(kind: str, rows: Tensor, size: int) -> Tensor:
    """Return the values of rows (R, bytes) of blocks that are `size` bytes long, float32, (R, values)."""
    blocks = rows.reshape(-1, size)
    return _KINDS[kind](blocks).reshape(len(rows), -1)


def known(kind: str) -> bool:
    """Say whether torch unpacks this kind here."""
    return kind in _KINDS


def _half(blocks: Tensor, at: int) -> Tensor:
    """The float16 at a byte, (N, 1), float32."""
    return blocks[:, at : at + 2].contiguous().view(torch.float16).float()


def _halves(quants: Tensor) -> Tensor:
    """Bytes (…, K) as (…, 2 K): all low halves, then all high ones."""
    return torch.cat([quants & 15, quants >> 4], dim=-1)


def _bits(quants: Tensor, width: int, count: int) -> Tensor:
    """Bytes (N, K) as (N, count, K): `width` bits of each, the lowest first."""
    shifts = torch.arange(0, width * count, width, dtype=torch.uint8, device=quants.device)
    return quants[:, None, :] >> shifts[:, None] & (1 << width) - 1


def _fifth(blocks: Tensor, at: int) -> Tensor:
    """32 bits at a byte as 16s and 0s, (N, 32)."""
    return _bits(blocks[:, at : at + 4], 1, 8).transpose(1, 2).flatten(1) << 4


def _q4_0(blocks: Tensor) -> Tensor:
    return _half(blocks, 0) * (_halves(blocks[:, 2:]).float() - 8)


def _q4_1(blocks: Tensor) -> Tensor:
    return _half(blocks, 0) * _halves(blocks[:, 4:]).float() + _half(blocks, 2)


def _q5_0(blocks: Tensor) -> Tensor:
    return _half(blocks, 0) * ((_halves(blocks[:, 6:]) | _fifth(blocks, 2)).float() - 16)


def _q5_1(blocks: Tensor) -> Tensor:
    return _half(blocks, 0) * (_halves(blocks[:, 8:]) | _fifth(blocks, 4)).float() + _half(blocks, 2)


def _q8_0(blocks: Tensor) -> Tensor:
    return _half(blocks, 0) * blocks[:, 2:].view(torch.int8).float()


def _q2_k(blocks: Tensor) -> Tensor:
    scales, quants = blocks[:, :16], blocks[:, 16:80]
    numbers = _by_sixteen(_quarters(quants))
    factors = _half(blocks, 80) * (scales & 15).float()
    offsets = _half(blocks, 82) * (scales >> 4).float()
    return (factors[..., None] * numbers - offsets[..., None]).flatten(1)


def _q3_k(blocks: Tensor) -> Tensor:
    lower = _quarters(blocks[:, 32:96])
    upper = _bits(blocks[:, :32], 1, 8).flatten(1)
    numbers = _by_sixteen(lower + (upper << 2)) - 4
    packed = blocks[:, 96:108]
    scales = _halves(packed[:, :8]) | _bits(packed[:, 8:], 2, 4).flatten(1) << 4
    factors = _half(blocks, 108) * (scales.float() - 32)
    return (factors[..., None] * numbers).flatten(1)


def _q4_k(blocks: Tensor) -> Tensor:
    numbers = _halves(blocks[:, 16:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    return _with_minima(blocks, numbers)


def _q5_k(blocks: Tensor) -> Tensor:
    numbers = _halves(blocks[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    return _with_minima(blocks, numbers | _bits(blocks[:, 16:48], 1, 8) << 4)


def _q6_k(blocks: Tensor) -> Tensor:
    lower = _halves(blocks[:, :128].reshape(-1, 2, 64)).flatten(1)
    upper = _quarters(blocks[:, 128:192])
    numbers = _by_sixteen(lower | upper << 4) - 32
    factors = _half(blocks, 208) * blocks[:, 192:208].view(torch.int8).float()
    return (factors[..., None] * numbers).flatten(1)


def _iq4_nl(blocks: Tensor) -> Tensor:
    return _half(blocks, 0) * _uneven(_halves(blocks[:, 2:]))


def _iq4_xs(blocks: Tensor) -> Tensor:
    lower = torch.stack([blocks[:, 4:8] & 15, blocks[:, 4:8] >> 4], dim=-1).flatten(1)
    upper = _bits(blocks[:, 2:4], 2, 4).transpose(1, 2).flatten(1)
    factors = _half(blocks, 0) * ((lower | upper << 4).float() - 32)
    numbers = _uneven(_halves(blocks[:, 8:].reshape(-1, 8, 16)))
    return (factors[..., None] * numbers).flatten(1)


def _uneven(numbers: Tensor) -> Tensor:
    return torch.tensor(_UNEVEN, dtype=torch.float32, device=numbers.device)[numbers.int()]


def _quarters(quants: Tensor) -> Tensor:
    """64 bytes (N, 64) as 256 numbers of two bits: of each 32 bytes all lowest, then all next ones."""
    return _bits(quants.reshape(-1, 32), 2, 4).reshape(-1, 256)


def _by_sixteen(numbers: Tensor) -> Tensor:
    return numbers.reshape(-1, 16, 16).float()


def _with_minima(blocks: Tensor, numbers: Tensor) -> Tensor:
    """Numbers (N, 8, 32) times the factors less the minima that twelve bytes hold as eight pairs of six bits."""
    low, mixed, high = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = torch.cat([low & 63, high & 15 | low >> 6 << 4], dim=1)
    minima = torch.cat([mixed & 63, high >> 4 | mixed >> 6 << 4], dim=1)
    factors, offsets = _half(blocks, 0) * scales.float(), _half(blocks, 2) * minima.float()
    return (factors[..., None] * numbers.float() - offsets[..., None]).flatten(1)


_KINDS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
    "IQ4_NL": _iq4_nl,
    "IQ4_XS": _iq4_xs,
}
