"""Self-attention in the middle of a U-Net: perturbed (Ahn et al. 2024), or watched (Hong et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from engine.denoising.inside.attention import Changed, Compute, self_attention, sizes_noted
from engine.models.networks.unet_places import Attended, Layout

if TYPE_CHECKING:
    from torch import Tensor

    from engine.denoising.inside.base import Given, Inner, Where


def _middle(where: Where) -> tuple[Layout, list[Attended]]:
    layout = Layout.of(where.network.module)
    assert layout is not None
    return layout, [one for one in layout.attended if one.place[0] == "middle"]


class PerturbedMiddle:
    """Each place looks at itself alone: values go through as they are."""

    def __init__(self, where: Where) -> None:
        _, self._attended = _middle(where)

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the perturbed prediction."""
        with self_attention((one, _values(one)) for one in self._attended):
            return inner(given)


def _values(attended: Attended) -> Changed:
    attention: Any = attended.module.attn1

    def changed(tokens: Tensor, _: Compute) -> Tensor:
        found: Tensor = attention.to_v(tokens)
        for layer in attention.to_out:
            found = layer(found)
        return found

    return changed


class WatchedMiddle:
    """Keeps what is looked at in the first layer of the middle, in the last call for the conditioning of a number.

    Several conditionings of that number, each for a part of the picture, are not put together: there is nothing then.
    """

    def __init__(self, where: Where, number: int) -> None:
        self._layout, attended = _middle(where)
        self._first = attended[:1]
        self._number = number
        self.seen: Tensor | None = None

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction as it is."""
        whose = given.occasion.numbers
        if self._number not in whose:
            return inner(given)
        self.seen = None
        if whose.count(self._number) > 1 or _area(given, whose.index(self._number)) is not None:
            return inner(given)
        rows = len(given.x) // len(whose)
        start = whose.index(self._number) * rows
        with (
            sizes_noted(self._layout) as sizes,
            self_attention((one, self._watch(one, start, rows)) for one in self._first),
        ):
            found = inner(given)
            seen: Tensor | None = self.seen
            self.seen = None if seen is None else seen.reshape(len(seen), *sizes[self._first[0].transformer])
        return found

    def _watch(self, attended: Attended, start: int, rows: int) -> Changed:
        def changed(tokens: Tensor, compute: Compute) -> Tensor:
            self.seen = given_to_places(attended.module.attn1, tokens[start : start + rows])
            return compute(tokens)

        return changed


def _area(given: Given, part: int) -> Any:
    return getattr(given.occasion.conditions[part], "area", None)


def given_to_places(attention: Any, tokens: Tensor) -> Tensor:
    """Return how much attention all of the tokens (B, N, C) give to each, (B, N): the mean over heads of the sum of shares."""
    q, k = (
        layer(tokens).unflatten(-1, (attention.heads, -1)).transpose(1, 2) for layer in (attention.to_q, attention.to_k)
    )
    shares = torch.softmax((q @ k.mT).float() * attention.scale, dim=-1)
    return shares.mean(1).sum(1)
