"""Weights that were rotated before they were rounded, so that single large values spread over their group (ConvRot, 2025).

Each group of columns was multiplied by a regular Hadamard matrix: Kronecker powers of one of four rows that all have the same
sum, over the root of its size. It is symmetric and its own inverse, so the same product undoes it.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

_FOUR = ((1.0, 1.0, 1.0, -1.0), (1.0, 1.0, -1.0, 1.0), (1.0, -1.0, 1.0, 1.0), (-1.0, 1.0, 1.0, 1.0))


def rotated_back(weight: Tensor, group: int) -> Tensor:
    """Return a weight (R, C), whose columns were rotated in groups, as it was before."""
    groups = weight.reshape(len(weight), -1, group)
    back: Tensor = groups @ _matrix(group, weight.device)
    return back.reshape(weight.shape)


@cache
def _matrix(size: int, device: torch.device) -> Tensor:
    four = torch.tensor(_FOUR, device=device)
    found = four
    while len(found) < size:
        found = torch.kron(found, four)
    whole: Tensor = found / size**0.5
    return whole
