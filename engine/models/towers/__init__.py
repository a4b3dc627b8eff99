"""Text encoders, a module for each kind: sizes and token rules off names and shapes, the library's module, its names, its use."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.families.base import Tower
    from engine.models.shapes import Facts, Shapes
    from engine.models.towers.clip import TextEncoderFacts


class Kind(Protocol):
    """What a module of this folder has, or the `KIND` that it sets. It is imported without torch."""

    @property
    def TITLE(self) -> str:  # noqa: N802
        """What messages call it."""
        ...

    @property
    def ENCODER(self) -> str:  # noqa: N802
        """The class that encodes prompts, `module:name`."""
        ...

    @property
    def HALF(self) -> Literal["float16", "bfloat16"]:  # noqa: N802
        """What it computes in where 16 bits are wanted."""
        ...

    @property
    def METADATA(self) -> str:  # noqa: N802
        """Under which a checkpoint's metadata has the text of its tokenizer.json."""
        ...

    @property
    def TOKENIZER(self) -> str:  # noqa: N802
        """Whose tokenizer.json it is."""
        ...

    def is_there(self, shapes: Shapes) -> bool:
        """Say whether tensors without a prefix are a text encoder of this kind."""
        ...

    def text_facts(self, shapes: Shapes, hints: Facts, tower: Tower) -> TextEncoderFacts:
        """Return the library's arguments and the token rules; KeyError for a tensor that is not there."""
        ...

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """Make the library's module."""
        ...

    def renamed(self, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return a file's tensors, without prefix, under this project's names for them; what `config` has no use for may go."""
        ...

    def spelled(self, module: str) -> tuple[str, ...]:
        """Return how LoRAs call a module of this project's name, without what says which encoder is meant."""
        ...


_WITH_TORCH = frozenset(
    {"language_encoder", "seeing_encoder", "t5_encoder", "pictures", "glyph_encoder", "bert_encoder"}
)
"""Modules that encode, of which no file is recognised."""


def kind_named(name: str) -> Kind:
    """Return the module of a kind, or the `KIND` that it sets."""
    module = importlib.import_module(f"{__name__}.{name}")
    return cast("Kind", getattr(module, "KIND", module))


@cache
def kinds() -> tuple[Kind, ...]:
    """Every kind, by the name of its module."""
    pages = (module.name for module in pkgutil.iter_modules(__path__))
    found = (kind_named(name) for name in pages if name not in _WITH_TORCH)
    return tuple(kind for kind in found if hasattr(kind, "is_there"))
