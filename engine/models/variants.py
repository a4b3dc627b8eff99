"""Weights that take the place of a module's own for the time of a call, kept so that they are made once.

They are put in place and taken back by pointers, which costs microseconds a weight. To make them costs what putting on a LoRA
does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.packed.tensor import Kept

    Weight: TypeAlias = Tensor | Kept
    """What a parameter holds: a tensor, or how a packed one is kept."""

MOST = 8
"""Variants that one module keeps; of more, the one that was used longest ago goes."""


class Variants:
    """The variants of one module's weights, the one used last at the end."""

    def __init__(self) -> None:
        self._kept: dict[object, dict[str, Weight]] = {}
        self.made = 0
        """How many were made, for those who measure."""

    def get(self, key: object) -> dict[str, Weight] | None:
        """Return the weights of a variant, where it is kept."""
        found = self._kept.pop(key, None)
        if found is not None:
            self._kept[key] = found
        return found

    def keep(self, key: object, values: dict[str, Weight]) -> None:
        """Keep a variant that was made."""
        self.made += 1
        self._kept[key] = values
        while len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]

    def drop(self) -> int:
        """Keep none, and return the bytes that frees once none is in place."""
        freed = self.bytes
        self._kept.clear()
        return freed

    @property
    def bytes(self) -> int:
        """Bytes of all of them; packed weights are changed where they are used, and take none."""
        return sum(getattr(value, "nbytes", 0) for values in self._kept.values() for value in values.values())


@contextmanager
def in_place(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Weight]) -> Iterator[None]:
    """Let parameters hold other values in the block."""
    before = {name: held(parameters[name]) for name in values}
    try:
        for name, value in values.items():
            give(parameters[name], value)
        yield
    finally:
        for name, value in before.items():
            give(parameters[name], value)


def held(parameter: nn.Parameter | Tensor) -> Weight:
    """Return what a parameter holds."""
    from engine.models.packed.tensor import PackedTensor

    return parameter.kept if isinstance(parameter, PackedTensor) else parameter.data


def give(parameter: nn.Parameter | Tensor, value: Weight) -> None:
    """Let a parameter hold a value."""
    from engine.models.packed.tensor import PackedTensor

    if isinstance(parameter, PackedTensor):
        parameter.kept = value.kept if isinstance(value, PackedTensor) else value  # type: ignore[assignment]
    else:
        parameter.data = value  # type: ignore[assignment]
