"""Exponential moving average of weights (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """A running average of named parameters.

    The decay of update n (from 0) is min(`decay`, (1 + n) / (10 + n)), so that early weights are soon forgotten.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        """Start from a copy of `parameters`; `decay` in 0..1 is the limit reached after the warm-up."""
        self.decay = decay
        self.updates = 0
        self.average = {name: value.detach().float().clone() for name, value in parameters}

    @torch.no_grad()
    def update(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
        """Move the average towards `parameters`, which have the names and shapes given at the start."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        current = dict(parameters)
        averages = list(self.average.values())
        torch._foreach_lerp_(averages, [current[name].detach().float() for name in self.average], 1 - decay)

    def state_dict(self) -> dict[str, Tensor]:
        """The average weights by name."""
        return self.average

    def load(self, average: Mapping[str, Tensor], updates: int) -> None:
        """Continue from a saved average. Raises KeyError for a name that is missing."""
        self.average = {name: average[name].float().clone() for name in self.average}
        self.updates = updates
