"""What a way of packing weights says of itself. Imported without torch.

A module of `engine.models.packed.formats` is one way, found by looking into the folder. It recognises a weight by the names,
types and shapes of the tensors that keep it, or by what the file's metadata tells of it, says the shape of the weight that they
make, and makes it of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from engine.models.header import Header
from engine.models.shapes import Facts, Shape

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT = "weight"
"""The part that has the weight's own name; others are called by what stands in its place: `scale_weight`, `weight_scale_2`."""


class Packing(msgspec.Struct, frozen=True, kw_only=True):
    """How a file keeps one weight.

    `format`: the module that unpacks it. `shape`: of the unpacked weight. `parts`: tensor of the file by role. `facts`: what else
    unpacking takes. `whole`: its rows cannot be told apart, so it is unpacked when it is loaded.
    """

    format: str
    shape: Shape
    parts: dict[str, str]
    facts: dict[str, Any] = {}
    whole: bool = False


class Format(Protocol):
    """What a module of the folder has."""

    TOLD: tuple[str, ...]
    """What metadata calls it; () for one that needs none."""

    BESIDE: tuple[str, ...]
    """Names, the module's taken off, of what it keeps beside weights."""

    def found(self, header: Header, name: str, told: Facts) -> Packing | None:
        """Say how the tensor `name` is kept; None when it is not in this way. `told`: the layer's metadata, {} without."""
        ...

    def prepared(self, parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> dict[str, Tensor]:
        """Return the parts as they stay in memory: one entry of the first dimension for each row, or one for all."""
        ...

    def taken(self, parts: Mapping[str, Tensor], rows: Any) -> dict[str, Tensor]:
        """Return the parts of some rows: a slice, or their numbers (N,), int64."""
        ...

    def unpacked(self, parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> Tensor:
        """Return the weight, float32, of the given shape."""
        ...


@cache
def all_formats() -> dict[str, Format]:
    """Every way of packing, by the name of its module."""
    folder = importlib.import_module("engine.models.packed.formats")
    names = [page.name for page in pkgutil.iter_modules(folder.__path__)]
    return {name: cast("Format", importlib.import_module(f"{folder.__name__}.{name}")) for name in names}


def module_of(name: str) -> str:
    """Return the module whose weight a tensor is."""
    return name.removesuffix(f".{WEIGHT}")


def beside(header: Header, name: str, roles: tuple[str, ...]) -> dict[str, str]:
    """Return, by role, the tensors that stand beside the weight `name`, and the weight."""
    module = module_of(name)
    there = {role: f"{module}.{role}" for role in roles if f"{module}.{role}" in header.shapes}
    return {WEIGHT: name, **there}
