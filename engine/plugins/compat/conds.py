"""`comfy.conds`: values that are put beside the conditioning of one call of the network."""

from __future__ import annotations

import math
from typing import Any

import torch


class CONDRegular:
    """A tensor (B, …), repeated to the batch."""

    def __init__(self, cond: Any) -> None:
        self.cond = cond

    def _copy_with(self, cond: Any) -> Any:
        return type(self)(cond)

    def process_cond(self, batch_size: int, device: Any = None, **kwargs: Any) -> Any:
        """For a batch of that size."""
        count = math.ceil(batch_size / self.cond.shape[0])
        return self._copy_with(self.cond.repeat(count, *[1] * (self.cond.ndim - 1))[:batch_size].to(device))

    def can_concat(self, other: Any) -> bool:
        """Whether both can be one batch."""
        return bool(self.cond.shape == other.cond.shape)

    def concat(self, others: list[Any]) -> Any:
        """All as one batch."""
        return torch.cat([self.cond, *(one.cond for one in others)])

    def size(self) -> list[int]:
        """Its shape."""
        return list(self.cond.size())


class CONDNoiseShape(CONDRegular):
    """A tensor in the shape of the latent."""


class CONDCrossAttn(CONDRegular):
    """Tokens (B, T, D)."""


class CONDConstant(CONDRegular):
    """A value that is the same for all."""

    def process_cond(self, batch_size: int, device: Any = None, **kwargs: Any) -> Any:
        """Itself."""
        return self._copy_with(self.cond)

    def can_concat(self, other: Any) -> bool:
        """Whether both are equal."""
        return bool(self.cond == other.cond)

    def concat(self, others: list[Any]) -> Any:
        """The value."""
        return self.cond

    def size(self) -> list[int]:
        """One number."""
        return [1]
