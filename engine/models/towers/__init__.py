"""Text encoders, a module for each kind: sizes and token rules off names and shapes, the library's module, its names, its use."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.families.base import Tower
    from engine.models.shapes import Facts, Shapes
    from engine.models.towers.clip import TextEncoderFacts


class Kind(Protocol):
    """What a module of this folder has. It is imported without torch."""

    ENCODER: str
    """The class that encodes prompts, `module:name`."""

    METADATA: str
    """Under which a checkpoint's metadata has the text of its tokenizer.json."""

    TOKENIZER: str
    """Whose tokenizer.json it is."""

    def is_there(self, shapes: Shapes) -> bool:
        """Say whether tensors without a prefix are a text encoder of this kind."""
        ...

    def text_facts(self, shapes: Shapes, hints: Facts, tower: Tower) -> TextEncoderFacts:
        """Return the library's arguments and the token rules; KeyError for a tensor that is not there."""
        ...

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """Make the library's module."""
        ...

    def renamed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a file's tensors, without prefix, under this project's names for them."""
        ...


def kind_named(name: str) -> Kind:
    """Return the module of a kind."""
    return cast("Kind", importlib.import_module(f"{__name__}.{name}"))
