"""Which conditions share one call of the network: those that can be stacked, planned once for each set of active ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.sampling.conditions import Condition, ControlLink, Told
from engine.sampling.masks import crop

# Contexts of different lengths are repeated to a common one, unless that costs more than it saves.
_MOST_REPEATS = 4


@dataclass(frozen=True, eq=False)
class Batch:
    """Conditions evaluated in one call. `members`: (number of the conditioning, condition); tensors are stacked.

    `told`: what control networks are told in the place of `context` and `options`.
    """

    members: tuple[tuple[int, Condition], ...]
    context: Tensor
    concat: Tensor | None
    control: tuple[ControlLink, ...]
    options: Mapping[str, Any] | None
    told: Told | None = None


def plan(active: Sequence[tuple[int, Condition]], max_members: int) -> list[Batch]:
    """Group conditions into as few calls as their shapes and `max_members` allow, in a stable order."""
    groups: list[list[tuple[int, Condition]]] = []
    for member in active:
        for group in groups:
            if len(group) < max_members and all(_fit(member[1], other) for _, other in group):
                group.append(member)
                break
        else:
            groups.append([member])
    return [_stack(group) for group in groups]


def _fit(a: Condition, b: Condition) -> bool:
    return (
        _size(a) == _size(b)
        and a.control == b.control
        and a.under is b.under
        and _told_alike(a.told, b.told)
        and _contexts_fit(a, b)
        and (a.concat is None) == (b.concat is None)
        and a.options.keys() == b.options.keys()
        and all(_options_fit(a.options[name], b.options[name]) for name in a.options)
    )


def _size(condition: Condition) -> tuple[int, ...] | None:
    return None if condition.area is None else condition.area[: len(condition.area) // 2]


def _contexts_fit(a: Condition, b: Condition) -> bool:
    if a.context.shape[2] != b.context.shape[2]:
        return False
    lengths = a.context.shape[1], b.context.shape[1]
    if lengths[0] == lengths[1]:
        return True
    most = _MOST_REPEATS if a.repeats_text and b.repeats_text else 1
    return math.lcm(*lengths) <= most * min(lengths) > 0  # a text of no tokens stays so however often it is repeated


def _told_alike(a: Told | None, b: Told | None) -> bool:
    if a is None or b is None:
        return a is b
    alike = a.context.shape == b.context.shape and a.options.keys() == b.options.keys()
    return alike and all(_options_fit(a.options[name], b.options[name]) for name in a.options)


def _options_fit(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape
    return not isinstance(a, Tensor) and not isinstance(b, Tensor) and bool(a == b)


def _stack(group: list[tuple[int, Condition]]) -> Batch:
    conditions = [condition for _, condition in group]
    length = math.lcm(*(condition.context.shape[1] for condition in conditions))
    contexts = [
        condition.context.repeat(1, length // max(1, condition.context.shape[1]), 1) if length else condition.context
        for condition in conditions
    ]
    concats = [crop(c.concat, c.area) for c in conditions if c.concat is not None]
    first = conditions[0]
    options = {name: _join([c.options[name] for c in conditions]) for name in first.options}
    return Batch(
        members=tuple(group),
        context=torch.cat(contexts),
        concat=torch.cat(concats) if concats else None,
        control=first.control,
        options=options or None,
        told=_all_told([c.told for c in conditions if c.told is not None]),
    )


def _all_told(found: Sequence[Told]) -> Told | None:
    if not found:
        return None
    options = {name: _join([one.options[name] for one in found]) for name in found[0].options}
    return Told(torch.cat([one.context for one in found]), options)


def _join(values: list[Any]) -> Any:
    return torch.cat(values) if isinstance(values[0], Tensor) else values[0]
