"""mT5's encoder (Xue et al. 2021), T5 for many languages: told by how many tokens it knows. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.models.shapes import Shapes
from engine.models.towers.t5_kind import T5Kind, tokens_of

LEAST: Final = 200_000
"""Tokens: mT5 knows 250,112, T5 32,128."""


@dataclass(frozen=True, kw_only=True)
class ManyTongues(T5Kind):
    """T5 over pieces of words of a hundred languages."""

    def is_there(self, shapes: Shapes) -> bool:
        """Say whether these are T5's encoder with as many tokens."""
        return super().is_there(shapes) and tokens_of(shapes) >= LEAST


KIND: Final = ManyTongues(
    title="mT5's encoder",
    METADATA="safelight.tokenizer.mt5",
    TOKENIZER="google/mt5-xl",
    stack="transformers.models.t5.modeling_t5:T5Stack",
    settings="transformers.models.t5.configuration_t5:T5Config",
    places_in_each=False,
)
