"""Conditions under weights of their own, and those that hold where no other does: what both are at one noise level."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import torch

from engine.sampling.masks import crop

if TYPE_CHECKING:
    from torch import Tensor

    from engine.sampling.conditions import Condition
    from engine.sampling.denoisers import Under

Member: TypeAlias = "tuple[int, Condition]"
"""A condition and the number of its conditioning."""

State: TypeAlias = "tuple[bool, Under | None]"
"""Whether a condition takes part, and under which weights."""


def state(condition: Condition, sigma: float) -> State:
    """Return what a condition is at a noise level."""
    if not condition.active(sigma):
        return False, None
    return True, None if condition.weights is None else condition.weights(sigma)


def members(candidates: Sequence[Member], states: Sequence[State], like: Tensor) -> list[Member]:
    """Return the conditions that take part, those under the same weights next to one another; `like` (B, C, …, h, w)."""
    there = [
        (number, condition if under is None else replace(condition, under=under))
        for (number, condition), (active, under) in zip(candidates, states, strict=True)
        if active
    ]
    filled = [_filled(member, there, like) for member in there]
    found = [member for member in filled if member is not None]
    order = list(dict.fromkeys(condition.under for _, condition in found))
    return sorted(found, key=lambda member: order.index(member[1].under))


def block(under: Under | None) -> AbstractContextManager[None]:
    """Return the block in which the network has these weights."""
    return nullcontext() if under is None else under()


def _filled(member: Member, there: Sequence[Member], like: Tensor) -> Member | None:
    """A condition with its weight: of one that fills what others leave, what they leave of each place; None for nothing."""
    number, condition = member
    if not condition.fills:
        return member
    others = [other for other_number, other in there if other_number == number and not other.fills]
    left = torch.ones_like(like[:, :1])
    for other in others:
        crop(left, other.area).sub_(other.weight)
    weight = crop(left.clamp_(min=0.0), condition.area) * condition.weight
    return (number, replace(condition, weight=weight)) if bool(weight.any()) else None
