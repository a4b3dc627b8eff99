"""What is to be written in a picture, to ByT5's tokens (Glyph-ByT5; Liu et al. 2024)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from engine.models.encoded import Encoded
from engine.models.encoder import Warn
from engine.models.text import Token
from engine.models.towers.quotes import to_be_written
from engine.models.towers.t5_encoder import T5Encoder

log = logging.getLogger(__name__)

_MOST = 128
"""Tokens, which are bytes, with the end."""


class GlyphEncoder(T5Encoder):
    """ByT5, which for families that write reads only what a prompt has in quotes: nothing (1, 0, D) of one without."""

    def tokenize(self, text: str, warn: Warn = log.warning) -> list[list[Token]]:
        """Return the one row of what is to be written, without tokens where there is nothing."""
        if not self.tower.glyphs:
            return super().tokenize(text, warn)
        if not (written := to_be_written(text)):
            return [[]]
        numbers = self.tokenizer.ids(written)
        if len(numbers) >= _MOST:
            warn(f"What the prompt has in quotes is {len(numbers)} bytes long, and was cut to {_MOST - 1}.")
        return [[*(Token(number, 1.0) for number in numbers[: _MOST - 1]), Token(self.tokenizer.end, 1.0)]]

    @torch.no_grad()
    def encode_tokens(self, rows: Sequence[Sequence[Token]]) -> Encoded:
        """Return the context (1, T, D) of rows as `tokenize` makes them."""
        if any(rows):
            return super().encode_tokens([row for row in rows if row])
        return self.signed(Encoded(torch.zeros(1, 0, int(self.handle.config["d_model"])), {}))
