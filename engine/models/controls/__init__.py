"""Control networks by kind, a module for each kind, found by looking into this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.shapes import Facts, Shapes, Spread


class Kind(Protocol):
    """What a module of this folder has. It is imported without torch."""

    TITLE: str
    """What messages call it."""

    PATCH: bool
    """Whether it works within the denoiser, and files of it are model patches for the field; else they are ControlNets."""

    MODULE: str
    """The network's class, or a function that makes it, `module:name`; given the arguments that `config` gives."""

    CALL: str
    """The class that calls it, `module:name`: an `engine.models.network.ControlNetwork`, or one with such a call."""

    def is_there(self, shapes: Shapes) -> bool:
        """Say whether tensors without a prefix are a control network of this kind."""
        ...

    def config(self, shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
        """Return the arguments; KeyError or IndexError for a tensor that is not there.

        `hints`: what a file's metadata or a config.json says of it.
        """
        ...

    def family(self, shapes: Shapes) -> str:
        """Return the family whose facts it is read by; "" for none."""
        ...

    def renamed(self, tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
        """Return a file's tensors, without prefix, under the names of the network."""
        ...


@cache
def kinds() -> tuple[str, ...]:
    """Return the name of every kind."""
    return tuple(page.name for page in pkgutil.iter_modules(__path__))


def kind_named(name: str) -> Kind:
    """Return the module of a kind."""
    return cast("Kind", importlib.import_module(f"{__name__}.{name}"))


def kind_in(shapes: Shapes, *, patch: bool = False) -> str | None:
    """Return the name of the kind that these tensors, without a prefix, are; None for none that is known."""
    found = ((name, kind_named(name)) for name in kinds())
    return next((name for name, kind in found if kind.PATCH is patch and kind.is_there(shapes)), None)


def titles(*, patch: bool = False) -> list[str]:
    """Return what messages call the kinds."""
    found = map(kind_named, kinds())
    return [kind.TITLE for kind in found if kind.PATCH is patch]
