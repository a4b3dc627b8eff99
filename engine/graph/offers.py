"""Choices that no node declares: names that packs add to those of the built-in nodes, such as samplers, and names of settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from engine.graph.schema import Catalogue, InputSpec, NodeSpec

BUILT_IN: Final = "nodes"
"""The pack of the built-in nodes."""


def offer(catalogue: Catalogue, names: Mapping[str, Collection[str]], pack: str) -> list[NodeSpec]:
    """Add `names`, {input: further choices}, to the nodes of `pack` that have such inputs; those that changed."""
    found = []
    for spec in list(catalogue):
        if spec.pack != pack:
            continue
        inputs = tuple(_with(one, names.get(one.name, ())) for one in spec.inputs)
        if inputs != spec.inputs:
            changed = msgspec.structs.replace(spec, inputs=inputs)
            catalogue.add(changed)
            found.append(changed)
    return found


def settle(catalogue: Catalogue, names: Mapping[str, Collection[str]]) -> None:
    """Fill in `names`, {table of the settings: names in it}, as the choices of the inputs that choose among them."""
    for spec in list(catalogue):
        if any(one.setting for one in spec.inputs):
            inputs = tuple(_settled(one, names) if one.setting else one for one in spec.inputs)
            catalogue.add(msgspec.structs.replace(spec, inputs=inputs))


def _settled(one: InputSpec, names: Mapping[str, Collection[str]]) -> InputSpec:
    return msgspec.structs.replace(one, choices=tuple(names.get(one.setting, ())))


def _with(one: InputSpec, names: Collection[str]) -> InputSpec:
    if not isinstance(one.choices, tuple):
        return one
    further = tuple(name for name in names if name not in one.choices)
    return msgspec.structs.replace(one, choices=one.choices + further) if further else one
