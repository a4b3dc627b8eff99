"""Networks that see what is in a picture: detectors, segmenters, mattes, depth. A module for each kind, found by looking here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes


class Kind(Protocol):
    """What a module of this folder has. It is imported without torch."""

    TITLE: str
    """What messages call it, with its article: "a detector (RT-DETR or D-FINE)"."""

    LOADER: str
    """The node that loads it."""

    USE: str
    """The nodes that take it, in words."""

    CALL: str
    """The class that nodes work with, `module:name`, made with (module, handle, device, dtype), and the tokenizer if `READS`."""

    READS: bool
    """Whether it reads text."""

    MODEL_TYPES: tuple[str, ...]
    """What a config.json beside its file calls it."""

    def is_there(self, shapes: Shapes) -> bool:
        """Say whether tensors are a network of this kind."""
        ...

    def config(self, shapes: Shapes, hints: Facts) -> dict[str, Any]:
        """Return what `build` wants; KeyError for a tensor that is not there.

        `hints`: what a config.json beside the file or its metadata says, and under `file` the file's name.
        """
        ...

    def build(self, config: Facts) -> nn.Module:
        """Return the network, of any weights."""
        ...

    def renamed(self, tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
        """Return a file's tensors under the names of the network."""
        ...


@cache
def kinds() -> tuple[str, ...]:
    """Return the name of every kind."""
    return tuple(page.name for page in pkgutil.iter_modules(__path__))


def kind_named(name: str) -> Kind:
    """Return the module of a kind."""
    return cast("Kind", importlib.import_module(f"{__name__}.{name}"))


def kind_in(shapes: Shapes, among: Collection[str] = ()) -> str | None:
    """Return the name of the kind that these tensors are, of `among` where it names some; None for none that is known."""
    names = [name for name in kinds() if not among or name in among]
    return next((name for name in names if kind_named(name).is_there(shapes)), None)
