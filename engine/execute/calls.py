"""List mapping: from the inputs of a node to its calls, and from what they gave to its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from engine.authoring.definition import ExecutionBlocker, NodeResult
from engine.cache.memory import Stored
from engine.execute.facts import SpecFacts
from engine.execute.supply import Inputs

Call: TypeAlias = dict[str, Any] | ExecutionBlocker
"""Keyword arguments of one call, or the blocker that is among them: then the call is not made."""


def calls_of(facts: SpecFacts, inputs: Inputs) -> list[Call]:
    """The calls of a node: one, or one per item when it is fed lists.

    Lists of different length repeat their last item. An empty list is an input that is not given: one call without it, as
    in the field, but no call of a node of ours that requires it. A node that takes lists (`input_is_list`) is called once,
    with a list for every input.
    """
    if facts.spec.input_is_list:
        return [_whole(inputs, facts.spec.without_blocked)]
    kwargs = dict(inputs.constants)
    streams: dict[str, list[Stored]] = {}
    blocker: ExecutionBlocker | None = None
    for name, held in inputs.linked.items():
        if not isinstance(held, Stored):
            streams[name] = held
            continue
        value = kwargs[name] = held.value
        if type(value) is ExecutionBlocker:
            blocker = value
    if not streams:
        return [blocker or kwargs]
    empty = {name for name, items in streams.items() if not items}
    if empty:
        streams = {name: items for name, items in streams.items() if items}
        needed = (one for one in facts.spec.inputs if one.required and one.default is None)
        if not facts.spec.called_without and any(one.name in empty for one in needed):
            return []
    if not streams:
        return [blocker or kwargs]
    lengths = [len(items) for items in streams.values()]
    return [blocker or _item(kwargs, streams, index) for index in range(max(lengths))]


def outputs_of(facts: SpecFacts, results: list[NodeResult | None]) -> list[list[Any]]:
    """The items of each output over all calls; a call that was blocked (None) passes silent blockers on."""
    slots: list[list[Any]] = [[] for _ in facts.lists]
    for result in results:
        for slot, is_list in enumerate(facts.lists):
            value = _value(result, slot)
            if is_list and isinstance(value, list | tuple):
                slots[slot] += value
            else:
                slots[slot].append(value)
    return slots


def ui_of(results: list[NodeResult | None]) -> dict[str, Any] | None:
    """What the calls show, lists of the same name joined."""
    shown = [result.ui for result in results if result is not None and result.ui is not None]
    if not shown:
        return None
    return dict(shown[0]) if len(shown) == 1 else joined_ui(shown)


def joined_ui(shown: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several calls or nodes show as one: lists of the same name joined, of other values the last."""
    joined: dict[str, Any] = {}
    for ui in shown:
        for name, value in ui.items():
            if not isinstance(value, list | tuple):
                joined[name] = value
            elif isinstance(joined.get(name), list):
                joined[name].extend(value)
            else:
                joined[name] = list(value)
    return joined


def _value(result: NodeResult | None, slot: int) -> Any:
    if result is None:
        return ExecutionBlocker(None)
    return result.values[slot] if slot < len(result.values) else None


def _whole(inputs: Inputs, without_blocked: bool) -> Call:
    kwargs: dict[str, Any] = {name: [value] for name, value in inputs.constants.items()}
    for name, held in inputs.linked.items():
        kwargs[name] = [held.value] if isinstance(held, Stored) else [entry.value for entry in held]
        if without_blocked:
            kwargs[name] = [item for item in kwargs[name] if type(item) is not ExecutionBlocker]
        for item in kwargs[name]:
            if type(item) is ExecutionBlocker:
                return item
    return kwargs


def _item(kwargs: dict[str, Any], streams: dict[str, list[Stored]], index: int) -> Call:
    call = dict(kwargs)
    for name, items in streams.items():
        value = call[name] = items[min(index, len(items) - 1)].value
        if type(value) is ExecutionBlocker:
            return value
    return call
