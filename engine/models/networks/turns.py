"""Rotary embeddings of tokens by their places (Su et al. 2021), made once for a run: they are the same at every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

_KEPT: Final = 4
"""Sets of places that are remembered: a run has one for each length of text among its conditionings."""


class _Set(NamedTuple):
    """Places as they were asked for and on the device, and the rotations that the network had made of them, in its order."""

    asked: Sequence[Tensor]
    there: list[Tensor]
    made: list[Any]


class Turns(nn.Module):
    """A network's `pos_embed` that remembers what it made, in place of the library's, which makes it anew at each call."""

    def __init__(self, pos_embed: nn.Module) -> None:
        super().__init__()
        self._pos_embed = pos_embed
        self._sets: deque[_Set] = deque(maxlen=_KEPT)
        self._now: _Set | None = None
        self._next = 0
        self._moved: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def of(cls, module: nn.Module) -> Turns:
        """Return that of a network, put there when it is first asked for."""
        found = module.pos_embed
        if not isinstance(found, cls):
            found = module.pos_embed = cls(cast("nn.Module", found))
        return found

    @contextmanager
    def at(self, *places: Tensor, device: torch.device, dtype: torch.dtype = torch.float32) -> Iterator[list[Tensor]]:
        """Give `places` (N, axes) on `device` in `dtype`, for one call of the network in the block.

        They lie on the CPU, where to compare them with earlier ones keeps no device waiting.
        """
        if self._moved is not None:
            places = (self._moved(places[0]), *places[1:])
        found = next((one for one in self._sets if _same(one, places, device, dtype)), None)
        if found is None:
            found = _Set(places, [one.to(device, dtype) for one in places], [])
            self._sets.append(found)
        self._now, self._next = found, 0
        try:
            yield found.there
        finally:
            self._now = None

    @contextmanager
    def moving(self, moved: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """Let the first of the places that are asked for in the block, the pictures', be what a function makes of them."""
        before, self._moved = self._moved, moved if self._moved is None else _after(moved, self._moved)
        try:
            yield
        finally:
            self._moved = before

    def forward(self, ids: Tensor) -> Any:
        """Return what the library's makes of places (N, axes)."""
        if self._now is None:
            return self._pos_embed(ids)
        made = self._now.made
        if self._next == len(made):
            made.append(self._pos_embed(ids))
        self._next += 1
        return made[self._next - 1]


def _after(moved: Callable[[Tensor], Tensor], earlier: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda places: moved(earlier(places))


def _same(one: _Set, places: Sequence[Tensor], device: torch.device, dtype: torch.dtype) -> bool:
    return (
        len(one.asked) == len(places)
        and all(there.device == device and there.dtype == dtype for there in one.there)
        and all(torch.equal(before, now) for before, now in zip(one.asked, places, strict=True))
    )
