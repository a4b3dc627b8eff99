"""EasyCache (Zhou et al. 2025): steps that are not computed, each conditioning by what its own last output added to its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from engine.denoising.inside.base import Range
from engine.sampling.reuse import Expected

if TYPE_CHECKING:
    from torch import Tensor

    from engine.denoising.inside.base import Given, Inner, Where


class EasyCache:
    """The patch. The condition that a run evaluates first decides for all; a step is an evaluation of it."""

    def __init__(self, where: Where, threshold: float, start_percent: float, end_percent: float, verbose: bool) -> None:
        self.expected = Expected(threshold, *Range.of(where.schedule, start_percent, end_percent))
        self.verbose = verbose
        self._first: Any = None
        self._reuses = False
        self._added: dict[Any, Tensor] = {}

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction, computed or not."""
        conditions = given.occasion.conditions or (None,)
        parts = given.x.chunk(len(conditions))
        names = [_name(given, n) for n in range(len(conditions))]
        if self._first is None:
            self._first = names[0]
        deciding = names.index(self._first) if self._first in names else None
        if deciding is not None:
            self._reuses = self.expected.reuses(parts[deciding], given.sigma)
        added = [self._kept(one, part) for one, part in zip(conditions, parts, strict=True)]
        if self._reuses and all(one is not None for one in added):
            output = given.x + torch.cat([one for one in added if one is not None])
        else:
            output = inner(given)
            self._keep(conditions, parts, output)
            self._reuses = False
        if deciding is not None:
            own = output.chunk(len(conditions))[deciding]
            self.expected.came(parts[deciding], own, computed=not self._reuses)
        return output

    def _kept(self, condition: Any, part: Tensor) -> Tensor | None:
        found = self._added.get(condition)
        return found if found is not None and found.shape == part.shape else None

    def _keep(self, conditions: tuple[Any, ...], parts: tuple[Tensor, ...], output: Tensor) -> None:
        for condition, part, own in zip(conditions, parts, output.chunk(len(conditions)), strict=True):
            if own.shape == part.shape:  # else it has learned a variance, which does not add to x
                self._added[condition] = own - part
            else:
                self._added.pop(condition, None)

    def told(self) -> tuple[str, list[str]]:
        """Return what a person is told of a run, and what is logged."""
        return self.expected.summary("EasyCache"), self.expected.told if self.verbose else []


def _name(given: Given, part: int) -> tuple[Any, ...]:
    """What a part is for: of which conditioning, where in the picture, and which frames."""
    numbers, conditions = given.occasion.numbers, given.occasion.conditions
    condition = conditions[part] if conditions else None
    number = numbers[part] if numbers else 0
    return number, getattr(condition, "area", None), getattr(condition, "window", None)
