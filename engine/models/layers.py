"""Layers of a network that a call can leave out: what the guidance by a weaker copy of the network is made of."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

STREAMS = ("encoder_hidden_states", "hidden_states")
"""What layers give back that have text and picture apart, in the library's order."""


TURNED = ("hidden_states", "encoder_hidden_states")
"""The same, picture first."""


class Stack(NamedTuple):
    """Layers one after the other: the list at the path `name` in a network's module.

    `gives`: which arguments a layer that is left out gives back; `beside`: paths of lists of the same kind, whose layers of the
    same number are the same layer, for other tokens.
    """

    name: str
    gives: tuple[str, ...] = ("hidden_states",)
    beside: tuple[str, ...] = ()

    def count(self, module: nn.Module) -> int:
        """How many layers a module has."""
        return len(_layers(module, self.name))


class _LeftOut(nn.Module):
    """In the place of a layer: gives back what it takes. It does not own the layer, so no weight is there twice.

    Who asks for something else of it gets the layer's: libraries look at what their layers are made of.
    """

    def __init__(self, layer: nn.Module, gives: Sequence[str]) -> None:
        super().__init__()
        self._names = list(inspect.signature(type(layer).forward).parameters)[1:]
        self._gives = gives
        self.__dict__["_in_place_of"] = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_in_place_of"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor | tuple[Tensor, ...]:
        told = dict(zip(self._names, args, strict=False)) | kwargs
        given = tuple(told[name] for name in self._gives)
        return given if len(given) > 1 else given[0]


@contextmanager
def left_out(module: nn.Module, stack: Stack, numbers: Sequence[int]) -> Iterator[None]:
    """Leave layers `numbers`, from 0, out of the calls of `module` in the block; those that it lacks are passed over."""
    lists = [_layers(module, path) for path in (stack.name, *stack.beside)]
    taken = [(layers, n, layers[n]) for layers in lists for n in sorted(set(numbers)) if 0 <= n < len(layers)]
    try:
        for layers, number, layer in taken:
            layers[number] = _LeftOut(layer, stack.gives)
        yield
    finally:
        for layers, number, layer in taken:
            layers[number] = layer


def _layers(module: nn.Module, path: str) -> nn.ModuleList:
    return cast("nn.ModuleList", module.get_submodule(path))
