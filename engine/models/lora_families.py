"""Which families a LoRA could be for, by the names and sizes of its tensors: what is told when it does not fit.

The network of every family is made without weights to compare names, which takes seconds: only for a LoRA that fits little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.models.checkpoints import read_header
from engine.models.errors import shortened
from engine.models.families import families
from engine.models.families.base import Family, named
from engine.models.header import Header
from engine.models.lora import Matched, is_for_text, match_unet
from engine.models.shapes import Shape, Shapes

_SHOWN = 4
"""Families that a message names at most."""


class Fit(msgspec.Struct, frozen=True):
    """How many tensors of a LoRA a family's network knows by name, and how many of these have its sizes too."""

    title: str
    tensors: int
    sized: int


def nothing_fits(path: Path, model: str) -> str:
    """Say that no tensor of the LoRA at `path` fits `model`, and whose they are."""
    names = read_header(path).shapes
    return (
        f"{path}: none of its {len(names)} tensors fits this model, {model} ({shortened(sorted(names))}); "
        f"{told(path, names)}. Use a LoRA that was trained for the checkpoint's family."
    )


def left_over(name: str, path: Path, unmatched: Iterable[str], *, with_text: bool) -> str:
    """Say which tensors of a LoRA fit nothing, "" for none; whose they are where those are most of the file's.

    `with_text` False: without a text encoder, what is for one is not counted.
    """
    left = [tensor for tensor in unmatched if with_text or not is_for_text(tensor)]
    if not left:
        return ""
    note = f"{name}: {len(left)} tensors fit nothing in this model, such as {left[0]}."
    counted = [tensor for tensor in read_header(path).shapes if with_text or not is_for_text(tensor)]
    if 2 * len(left) <= len(counted):
        return note
    return f"{note} They are most of its {len(counted)}, so it is for another family: of them {told(path, left)}."


def told(path: Path, names: Iterable[str]) -> str:
    """Say whose the tensors `names` of the LoRA at `path` are: "456 fit FLUX.1 or LongCat-Image".

    Families that most of them fit; of those that have the same names, those that have the sizes as well.
    """
    wanted = set(names)
    shapes = {name: shape for name, shape in read_header(path).shapes.items() if name in wanted}
    for_text = sum(is_for_text(name) for name in shapes)
    texts = f"{for_text} are for text encoders" if for_text else ""
    found = fits(Header(path=str(path), shapes=shapes, dtypes={}, metadata={}))
    if not found:
        return texts or "they fit no family that is known"
    best = max((fit.tensors, fit.sized) for fit in found)
    titles = [fit.title for fit in found if (fit.tensors, fit.sized) == best]
    alike = " or ".join(titles[:_SHOWN])
    more = f" and {len(titles) - _SHOWN} more" if len(titles) > _SHOWN else ""
    return ", ".join(filter(None, (f"{best[0]} fit {alike}{more}", texts)))


def fits(header: Header) -> list[Fit]:
    """Return how much of a LoRA each family's network knows; those that know nothing are left out."""
    found = [_fit(header, family, family.full) for family in families() if family.full is not None]
    return [fit for fit in found if fit.tensors]


def _fit(header: Header, family: Family, full: Mapping[str, Any]) -> Fit:
    parameters, config = full_size(family, full)
    network = family.network
    fused = network.fused(config)
    match = match_unet(header, parameters, network.paths(config), fused)
    known = len(header.shapes) - len(match.unmatched)
    return Fit(family.title, known, _sized(match, header.shapes, parameters))


def full_size(family: Family, full: Mapping[str, Any]) -> tuple[Shapes, Mapping[str, Any]]:
    """Return the parameters' shapes of a network, made without weights, and its arguments with the library's defaults."""
    import torch

    with torch.device("meta"):
        module = named(family.network.module)(**full)
    config: Mapping[str, Any] = {**getattr(module, "config", {}), **full}
    return {name: tuple(value.shape) for name, value in module.named_parameters()}, config


def _sized(match: Matched, shapes: Shapes, parameters: Shapes) -> int:
    """Count the tensors of low rank that have the rows or columns of the weights that they change."""
    found = 0
    for name, change in match.changes.items():
        rows = change.of or parameters[name][0]
        columns: Shape = parameters[name][1:2]
        found += "up" in change.parts and shapes[change.parts["up"]][0] == rows
        found += "down" in change.parts and shapes[change.parts["down"]][1:2] == columns
    return found
