"""Prompts to conditioning by T5: one row of any length, an end token, padding, and weights as CLIP's towers have them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from engine.models.encoded import Encoded
from engine.models.encoder import Encoder, Warn, refuse_pictures
from engine.models.families.base import Padding
from engine.models.prompt import segments
from engine.models.text import Token

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import ClipHandle
    from engine.models.tokenizer import Tokenizer

log = logging.getLogger(__name__)


class T5Encoder(Encoder):
    """T5's encoder (Raffel et al. 2020) with its tokenizer. Padding is seen like any other token, unless the family masks it."""

    def __init__(
        self,
        module: nn.Module,
        handle: ClipHandle,
        tokenizer: Tokenizer,
        device: torch.device,
        dtype: torch.dtype,
        embedding_folders: Sequence[Path] = (),
    ) -> None:
        super().__init__(module, handle, tokenizer, device, dtype, embedding_folders)
        self._pad = handle.tokens.pad or 0
        self._padding: Padding = self.tower.padding
        self._lower = self.tower.lower

    def encode(self, text: str, warn: Warn = log.warning, pictures: Sequence[Tensor] = (), style: str = "") -> Encoded:
        """Return the context (1, T, D), and as pooled text (1, D) the mean over tokens, which no model uses."""
        refuse_pictures(self.handle, pictures)
        return self.encode_tokens(self.tokenize(text, warn))

    def tokenize(self, text: str, warn: Warn = log.warning) -> list[list[Token]]:
        """Return the prompt's one row: text, end token, padding up to the least length, but so often at least as is told.

        Where the family's rows have a fixed length, a longer text is cut.
        """
        text = text.lower().strip() if self._lower else text
        row = self.opening()
        row += [Token(number, piece.weight) for piece in segments(text) for number in self.tokenizer.ids(piece.text)]
        if (most := self.tower.prompting.most) and len(row) >= most:
            warn(f"{self.tower.name} reads {most} tokens of a prompt: what is beyond was cut.")
            row = row[: most - 1]
        row.append(Token(self.tokenizer.end, 1.0))
        told = self.handle.tokens
        return [row + [self._padding_token()] * max(told.padding, told.max_length - len(row))]

    def opening(self) -> list[Token]:
        """Return what opens a row: nothing."""
        return []

    def _padding_token(self) -> Token:
        return Token(self._pad, 1.0, padding=self._padding != "seen")

    @torch.no_grad()
    def encode_tokens(self, rows: Sequence[Sequence[Token]]) -> Encoded:
        """Return context and pooled text of rows as `tokenize` makes them; longer ones may stand beside shorter ones."""
        hidden = torch.cat([self._weighted(row) for row in rows], dim=1)
        options: dict[str, Any] = {"pooled_output": hidden.mean(dim=1)}
        mask = torch.tensor([[int(not token.padding) for row in rows for token in row]])
        if not mask.all():
            options["attention_mask"] = mask
            if self._padding == "zero":
                hidden = hidden * mask[..., None]
        return self.signed(Encoded(hidden, options))

    def _weighted(self, row: Sequence[Token]) -> Tensor:
        """One row's output (1, T, D), each token's moved away from the empty prompt's by its weight."""
        hidden = self._run(row)
        if all(token.weight == 1.0 for token in row):
            return hidden
        short = [*self.opening(), Token(self.tokenizer.end, 1.0)]
        empty = [*short, *[self._padding_token()] * (len(row) - len(short))]
        nothing = self._run(empty)
        weights = torch.tensor([token.weight for token in row])[None, :, None]
        return torch.where(weights == 1.0, hidden, (hidden - nothing) * weights + nothing)

    def _run(self, row: Sequence[Token]) -> Tensor:
        given = {"input_ids": torch.tensor([[cast("int", token.value) for token in row]], device=self.device)}
        if any(token.padding for token in row):
            given["attention_mask"] = torch.tensor([[int(not token.padding) for token in row]], device=self.device)
        return cast("Tensor", self.module(**given).last_hidden_state).float().cpu()
