"""How many cores of the CPU a model is computed on: one for a small network, all for others.

Threads sleep while they wait (`engine.threads`), and to be woken for each of a small network's sums takes longer than the sum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from engine.threads import COUNTS, OWN_CHOICE

SMALL: Final = 16_000_000
"""A network with fewer parameters is small. Measured on two cores: of 7 million, a step on 8 × 8 latents takes 1.2 times as long
on both as on one, of 25 million as long, of 39 million 0.8 times."""


class Cores:
    """The cores for what is computed now. One thread computes at a time, which holds the device; its uses may be nested.

    Where a setting or the user has said how many threads there are, it does nothing.
    """

    def __init__(self, device: str, environment: Mapping[str, str] = os.environ) -> None:
        self._ours = device == "cpu" and OWN_CHOICE in environment
        self._all = int(environment.get(COUNTS[0], "1")) if self._ours else 1
        self._wanted: list[int] = []

    @contextmanager
    def computing(self, parameters: int) -> Iterator[None]:
        """Compute with a network of so many parameters in the `with` block, and with those of the blocks around it."""
        if not self._ours or self._all == 1:
            yield
            return
        import torch

        before = torch.get_num_threads()
        self._wanted.append(1 if parameters < SMALL else self._all)
        torch.set_num_threads(max(self._wanted))
        try:
            yield
        finally:
            self._wanted.pop()
            torch.set_num_threads(before)
