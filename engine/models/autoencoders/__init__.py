"""Autoencoders between pictures and latents, a module for each kind, found by looking into this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from torch import Tensor

    from engine.datatypes.parameterization import LatentFormat
    from engine.models.shapes import Facts, Shapes


class Kind(Protocol):
    """What a module of this folder has. It is imported without torch."""

    MODULE: str
    """The library's class, `module:name`, made with the arguments that `config` gives."""

    CODEC: str
    """The class that encodes and decodes with it, `module:name`: `engine.models.autoencoder.Autoencoder` or one after it."""

    LATENT: LatentFormat | None
    """The space of its latents; None for the kind whose tensors do not tell it."""

    def is_there(self, shapes: Shapes) -> bool:
        """Say whether tensors without a prefix are an autoencoder of this kind."""
        ...

    def config(self, shapes: Shapes, hints: Facts) -> dict[str, Any]:
        """Return the library's arguments; KeyError for a tensor that is not there.

        `hints`: what a file's metadata or a folder's config.json says of it.
        """
        ...

    def space(self, config: Facts) -> tuple[int, int]:
        """Return (channels C, downscale f) of the latents (B, C, H / f, W / f) that it makes of pictures."""
        ...

    def renamed(self, tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
        """Return a file's tensors, without prefix, under the names of the library's class."""
        ...


@cache
def kinds() -> tuple[str, ...]:
    """Return the name of every kind."""
    return tuple(page.name for page in pkgutil.iter_modules(__path__))


def kind_named(name: str) -> Kind:
    """Return the module of a kind."""
    return cast("Kind", importlib.import_module(f"{__name__}.{name}"))


def kind_in(shapes: Shapes) -> str | None:
    """Return the name of the kind that these tensors, without a prefix, are; None for no autoencoder that is known."""
    return next((name for name in kinds() if kind_named(name).is_there(shapes)), None)
