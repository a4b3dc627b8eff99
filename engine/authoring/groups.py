"""Inputs that stand for several: what a prompt names `group.input` reaches a node as one dict per group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from engine.graph.dynamic import CHOOSING, GROWS, brought, options_of
from engine.graph.schema import InputSpec


def group_names(inputs: Iterable[InputSpec]) -> Iterator[str]:
    """The names in prompts of all `inputs` that stand for several, also of those that a choice brings."""
    for one in inputs:
        if one.type == CHOOSING or one.type in GROWS:
            yield one.name
        for key in options_of(one) if one.type == CHOOSING else ():
            yield from group_names(brought(one, key))


def gathered(inputs: Mapping[str, Any], groups: tuple[str, ...]) -> dict[str, Any]:
    """Inputs named `group.input` put into one dict per group; a group's own value is in it under its name."""
    if not groups:
        return dict(inputs)
    found: dict[str, Any] = {}
    for name, value in inputs.items():
        parts = name.split(".")
        if parts[0] not in groups:
            found[name] = value
            continue
        place = found
        around = parts if name in groups else parts[:-1]
        for part in around:
            place = place.setdefault(part, {})
        place[parts[-1]] = value
    for name in groups:
        if "." not in name:
            found.setdefault(name, {})
    return found


def gathering(run: Callable[..., Any], groups: tuple[str, ...]) -> Callable[..., Any]:
    """`run` given its `groups` as dicts."""

    def gather(*positional: Any, **inputs: Any) -> Any:
        return run(*positional, **gathered(inputs, groups))

    return gather
