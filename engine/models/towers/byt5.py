"""ByT5's encoder (Xue et al. 2022), T5 over the bytes of a text, also with tokens for glyphs (Glyph-ByT5; Liu et al. 2024).

No file has its tokenizer, and none is needed. What it is told by is its vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.models.shapes import Shapes
from engine.models.towers.t5_kind import T5Kind, tokens_of

VOCABULARIES: Final = (384, 1510)
"""Of ByT5, and of that with tokens for colours and fonts."""
_SPECIAL: Final = 3
"""Padding, end, unknown; then come the bytes."""


class Bytes:
    """A text's bytes as ids, with an end token and none that opens a row."""

    size = _SPECIAL + 256
    start = end = 1

    def ids(self, text: str) -> list[int]:
        """Return the token ids of `text`, without the end."""
        return [byte + _SPECIAL for byte in text.encode("utf-8", "replace")]


@dataclass(frozen=True, kw_only=True)
class ByteKind(T5Kind):
    """T5 over bytes."""

    ENCODER = "engine.models.towers.glyph_encoder:GlyphEncoder"

    def is_there(self, shapes: Shapes) -> bool:
        """Say whether these are T5's encoder with a vocabulary of bytes."""
        return super().is_there(shapes) and tokens_of(shapes) in VOCABULARIES

    def own_tokenizer(self) -> Bytes:
        """Return the tokenizer, which is the same for all."""
        return Bytes()


KIND: Final = ByteKind(
    title="ByT5's encoder",
    METADATA="safelight.tokenizer.byt5",
    TOKENIZER="google/byt5-small",
    stack="transformers.models.t5.modeling_t5:T5Stack",
    settings="transformers.models.t5.configuration_t5:T5Config",
    places_in_each=False,
)
