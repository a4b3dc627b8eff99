"""Prompts to conditioning by BERT: one row, with a token that opens it."""

from __future__ import annotations

from engine.models.text import Token
from engine.models.towers.t5_encoder import T5Encoder


class BertEncoder(T5Encoder):
    """BERT (Devlin et al. 2019) with its tokenizer, which reads as T5 does here but for the token that opens a row."""

    def opening(self) -> list[Token]:
        """Return the token that opens a row."""
        return [Token(self.tokenizer.start, 1.0)]
