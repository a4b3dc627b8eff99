"""What control networks add to the layers of transformers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Added:
    """What one control network adds to a stack of layers, tensors (B, T, D); each for the same number of layers in a row.

    `repeats`: they come round again and again instead.
    """

    parts: Sequence[Tensor]
    repeats: bool = False

    def to(self, number: int, layers: int) -> Tensor:
        """Return what is added after layer `number` of `layers`."""
        if self.repeats:
            return self.parts[number % len(self.parts)]
        return self.parts[number // math.ceil(layers / len(self.parts))]


def per_layer(added: Sequence[Added], layers: int, tokens: int, place: Tensor) -> list[Tensor] | None:
    """Return the sum of what is added after each of `layers`, (B, `tokens`, D) on the device and in the dtype of `place`.

    Tokens that a control network does not know, of pictures to go by, get nothing. None when nothing is added.
    """
    if not added or not layers:
        return None
    found = []
    for number in range(layers):
        total = sum(one.to(number, layers).to(place) for one in added)
        assert isinstance(total, torch.Tensor)
        missing = tokens - total.shape[1]
        found.append(torch.nn.functional.pad(total, (0, 0, 0, missing)) if missing else total)
    return found


def added_to(control: Mapping[str, Any] | None, stack: str) -> Sequence[Added]:
    """Return what control networks add to a stack of layers, "double" or "single"."""
    found: Sequence[Added] = (control or {}).get(stack, ())
    return found
