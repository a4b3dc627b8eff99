"""The reader of texts of a network that finds what a text asks for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel

from engine.models.encoded import Encoded
from engine.models.encoder import Warn
from engine.models.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import PerceptionHandle
    from engine.models.tokenizer import Tokenizer

log = logging.getLogger(__name__)


class TextTower(nn.Module):
    """CLIP's text tower, and a layer to the width of the network that it is read for."""

    def __init__(self, *, width: int, **config: Any) -> None:
        super().__init__()
        tower: Any = CLIPTextModel(CLIPTextConfig(**config, bos_token_id=0, eos_token_id=1))
        self.text_model = getattr(tower, "text_model", tower)
        self.text_projection = nn.Linear(config["hidden_size"], width)

    def forward(self, ids: Tensor) -> Tensor:
        """Return tokens (B, T, width) of ids (B, T)."""
        tokens: Tensor = self.text_projection(self.text_model(input_ids=ids).last_hidden_state)
        return tokens


class Reader:
    """A text tower with its tokenizer, in the place of a text encoder."""

    def __init__(
        self,
        module: nn.Module,
        handle: PerceptionHandle,
        device: torch.device,
        dtype: torch.dtype,
        tokenizer: Tokenizer,
    ) -> None:
        self.module, self.handle, self.device, self.dtype = module, handle, device, dtype
        self._tokenizer = tokenizer

    def encode_each(self, texts: Mapping[str, str], text: str = "", warn: Warn = log.warning) -> Encoded:
        """Raise ModelError: it reads one text, as CLIPTextEncode gives it."""
        raise ModelError(f"{self.handle.source.path}: reads one text, got {len(texts)} apart. Use CLIPTextEncode.")

    @torch.no_grad()
    def encode(self, text: str, warn: Warn = log.warning, pictures: Sequence[Tensor] = (), style: str = "") -> Encoded:
        """Return the context (1, T, D) of what is asked for; what is past the 32nd token is left out, and `warn` told.

        Weights as (word:1.2) are read as text. Raises ModelError for pictures, which it does not take.
        """
        if pictures:
            raise ModelError(
                f"{self.handle.source.path}: reads texts alone, got {len(pictures)} pictures. Unlink them."
            )
        room = int(self.handle.config["max_position_embeddings"]) - 2
        ids = self._tokenizer.ids(text)
        if len(ids) > room:
            warn(
                f"The text has {len(ids)} tokens, of which the first {room} are read. Ask for one thing, in few words."
            )
        row = [self._tokenizer.start, *ids[:room], self._tokenizer.end]
        tokens = self.module(torch.tensor([row], device=self.device)).float().cpu()
        return Encoded(tokens, {"attention_mask": torch.ones(1, len(row), dtype=torch.int64)})
