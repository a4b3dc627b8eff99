"""What marks beside tensors hold by: they are told of exactly the numbers that they were put on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from torch import Tensor


def digest(numbers: Tensor) -> str:
    """Return the digest of a tensor's numbers, whatever its shape."""
    import torch

    plain = numbers.detach().cpu().contiguous().flatten().view(torch.uint8)
    return xxhash.xxh3_64_hexdigest(plain.numpy().data)
