"""T5's encoder (Raffel et al. 2020; v1.1 of Shazeer 2020): sizes and token rules, read off names and shapes. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.models.shapes import Shapes
from engine.models.towers.byt5 import VOCABULARIES
from engine.models.towers.mt5 import LEAST
from engine.models.towers.t5_kind import T5Kind, tokens_of


@dataclass(frozen=True, kw_only=True)
class PieceKind(T5Kind):
    """T5 over pieces of English words."""

    def is_there(self, shapes: Shapes) -> bool:
        """Say whether these are T5's encoder, and not ByT5's or mT5's."""
        return super().is_there(shapes) and tokens_of(shapes) not in VOCABULARIES and tokens_of(shapes) < LEAST


KIND: Final = PieceKind(
    title="T5's encoder",
    METADATA="safelight.tokenizer.t5",
    TOKENIZER="google/t5-v1_1-xxl",
    stack="transformers.models.t5.modeling_t5:T5Stack",
    settings="transformers.models.t5.configuration_t5:T5Config",
    places_in_each=False,
)
