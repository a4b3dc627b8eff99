"""Whether weights are numbers: a file with NaN in it gives black pictures, and nothing says why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from engine.models.packed.tensor import PackedTensor

_LEAST: Final = {torch.float8_e4m3fn: 0x7F, torch.float8_e5m2: 0x7C}
"""The least magnitude, as bits, that is no finite number."""

_BYTES: Final = 0x0101010101010101
_PIECE: Final = 1 << 16
"""Numbers of eight bytes that are looked at together: what is made of them stays in a processor's own memory."""


def are_finite(tensors: Sequence[Tensor]) -> bool:
    """Say whether many tensors have neither NaN nor infinity, at less cost for each than `is_finite`, where they are small."""
    plain = [one.sum().float() for one in tensors if one.is_floating_point() and one.element_size() > 1]
    others = [one for one in tensors if not one.is_floating_point() or one.element_size() == 1]
    whole = not plain or bool(torch.stack(plain).isfinite().all())
    return all(is_finite(one) for one in (others if whole else tensors))


def is_finite(tensor: Tensor) -> bool:
    """Say whether a tensor has neither NaN nor infinity, by one pass over it.

    Of a packed one the factors are looked at, and numbers of eight-bit floats; not the factors within blocks of GGUF.
    """
    if isinstance(tensor, PackedTensor):
        return all(is_finite(part) for part in tensor.kept.parts)
    if tensor.dtype in _LEAST:
        return _eight_bits(tensor, _LEAST[tensor.dtype])
    if not tensor.is_floating_point() or tensor.element_size() == 1:
        return True
    # A sum is the fastest pass there is, and NaN or infinity stays in it; it may overflow where every number is finite.
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def _eight_bits(tensor: Tensor, least: int) -> bool:
    """Eight bytes at a time: what is added carries into the sign's place where a magnitude is not less than `least`."""
    flat = tensor.contiguous().view(torch.uint8).flatten()
    if flat.storage_offset() % 8 or flat.data_ptr() % 8:
        flat = flat.clone()
    ends = len(flat) % 8
    whole, rest = flat[: len(flat) - ends], flat[len(flat) - ends :]
    if not bool(((rest & 0x7F) < least).all()):
        return False
    for piece in torch.split(whole.view(torch.int64), _PIECE):
        carried = (piece & 0x7F * _BYTES) + (0x80 - least) * _BYTES
        if bool((carried & _signed(0x80 * _BYTES)).any()):
            return False
    return True


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >> 63 else bits
