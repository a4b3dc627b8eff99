"""Token merging for Stable Diffusion (Bolya and Hoffman 2023): self-attention over fewer tokens, of which alike ones are one.

In each square of 2 × 2 tokens one stays, drawn by lot. Of all others those that are most alike to one that stays, by the cosine
between what the layer is given, are merged into it by the mean; what attention gives it is then given to all of them.
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional

from engine.denoising.inside.attention import Changed, Compute, self_attention, sizes_noted
from engine.models.networks.unet_places import Attended, Layout

if TYPE_CHECKING:
    from torch import Tensor

    from engine.denoising.inside.base import Given, Inner, Where

_AT_ONCE: Final = 4096
"""Tokens that are compared with all that stay in one piece, which bounds memory."""


class TokenMerging:
    """The patch; `ratio`: the share of tokens that is merged, at most 3/4. It works where the picture is not halved."""

    def __init__(self, where: Where, ratio: float) -> None:
        layout = Layout.of(where.network.module)
        assert layout is not None
        self._layout, self._ratio = layout, ratio

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction with merged tokens in self-attention."""
        full = tuple(given.x.shape[-2:])
        kept: dict[int, Tensor] = {}
        with sizes_noted(self._layout) as sizes, ExitStack() as hooks:

            def change(number: int, attended: Attended) -> Changed:
                def changed(tokens: Tensor, compute: Compute) -> Tensor:
                    before = kept.pop(number, tokens)
                    if sizes[attended.transformer] != full or tokens.shape != before.shape:  # or it is in tiles
                        return compute(tokens)
                    lots = random.Random(f"{given.sigma:.6g} {number}").getrandbits(63)
                    pairs = matched(before, full[0], full[1], int(tokens.shape[1] * self._ratio), lots)
                    return compute(tokens) if pairs is None else pairs.spread(compute(pairs.merged(tokens)))

                return changed

            for number, attended in enumerate(self._layout.attended):
                hooks.callback(attended.module.norm1.register_forward_pre_hook(_kept(kept, number)).remove)
            changes = ((one, change(number, one)) for number, one in enumerate(self._layout.attended))
            with self_attention(changes):
                return inner(given)


def _kept(kept: dict[int, Tensor], number: int) -> Any:
    def before(_: Any, arguments: tuple[Tensor, ...]) -> None:
        kept[number] = arguments[0]

    return before


@dataclass(frozen=True, eq=False)
class Pairs:
    """Which of N tokens are merged: `own` (B, N) is the place that each has among the M that are left."""

    own: Tensor
    left: int

    def merged(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, M, C): the means of what is merged, and the others, of tokens (B, N, C)."""
        batch, _, channels = tokens.shape
        places = self.own[..., None].expand(-1, -1, channels)
        empty = tokens.new_zeros(batch, self.left, channels)
        return empty.scatter_reduce(1, places, tokens, "mean", include_self=False)

    def spread(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, N, C) of which those that were merged are the same, of tokens (B, M, C)."""
        return tokens.gather(1, self.own[..., None].expand(-1, -1, tokens.shape[-1]))


def matched(x: Tensor, rows: int, columns: int, count: int, seed: int) -> Pairs | None:
    """Return which `count` of the tokens x (B, rows · columns, C) are merged, by lots of `seed`; None where none can be.

    Each picture of the batch has the same tokens that stay, and its own that are merged. Tokens beside the last whole square
    of 2 × 2 do not stay.
    """
    stays = staying(rows, columns, seed).to(x.device)
    into, others = stays.nonzero().flatten(), (~stays).nonzero().flatten()
    count = min(count, len(others))
    if count <= 0 or not len(into):
        return None
    directions = functional.normalize(x.float(), dim=-1)
    targets = directions[:, into].transpose(1, 2)
    best = [(piece @ targets).max(-1) for piece in torch.split(directions[:, others], _AT_ONCE, dim=1)]
    likeness, nearest = (torch.cat(parts, dim=1) for parts in zip(*best, strict=True))
    order = likeness.argsort(dim=1, descending=True, stable=True)
    merged, single = order[:, :count], order[:, count:]
    batch, tokens = x.shape[:2]
    own = torch.empty(batch, tokens, dtype=torch.long, device=x.device)
    own[:, into] = torch.arange(len(into), device=x.device)
    further = torch.arange(len(into), tokens - count, device=x.device).expand(batch, -1)
    own.scatter_(1, others[single], further)
    own.scatter_(1, others[merged], nearest.gather(1, merged))
    return Pairs(own, tokens - count)


def staying(rows: int, columns: int, seed: int) -> Tensor:
    """Return which tokens (rows · columns,) stay: one of each whole square of 2 × 2."""
    high, wide = rows // 2, columns // 2
    lots = torch.randint(4, (high, wide), generator=torch.Generator().manual_seed(seed))
    grid = torch.zeros(rows, columns, dtype=torch.bool)
    grid[2 * torch.arange(high)[:, None] + lots // 2, 2 * torch.arange(wide)[None, :] + lots % 2] = True
    return grid.flatten()
