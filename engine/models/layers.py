"""Layers of a network that a call can leave out: what the guidance by a weaker copy of the network is made of."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

STREAMS = ("encoder_hidden_states", "hidden_states")
"""What layers give back that have text and picture apart, in the library's order."""


class Stack(NamedTuple):
    """Layers one after the other: the list `name` of a network's module. `gives`: which arguments one left out gives back."""

    name: str
    gives: tuple[str, ...] = ("hidden_states",)

    def count(self, module: nn.Module) -> int:
        """How many layers a module has."""
        return len(getattr(module, self.name))


class _LeftOut(nn.Module):
    """In the place of a layer: gives back what it takes. It does not own the layer, so no weight is there twice."""

    def __init__(self, layer: nn.Module, gives: Sequence[str]) -> None:
        super().__init__()
        self._names = list(inspect.signature(type(layer).forward).parameters)[1:]
        self._gives = gives

    def forward(self, *args: Any, **kwargs: Any) -> Tensor | tuple[Tensor, ...]:
        told = dict(zip(self._names, args, strict=False)) | kwargs
        given = tuple(told[name] for name in self._gives)
        return given if len(given) > 1 else given[0]


@contextmanager
def left_out(module: nn.Module, stack: Stack, numbers: Sequence[int]) -> Iterator[None]:
    """Leave layers `numbers`, from 0, out of the calls of `module` in the block; those that it lacks are passed over."""
    layers = getattr(module, stack.name)
    taken = {number: layers[number] for number in sorted(set(numbers)) if 0 <= number < len(layers)}
    try:
        for number, layer in taken.items():
            layers[number] = _LeftOut(layer, stack.gives)
        yield
    finally:
        for number, layer in taken.items():
            layers[number] = layer
