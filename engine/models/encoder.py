"""What all text encoders share: a module with its tokenizer on a device, called by itself or beside others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

from engine.models.errors import ModelError
from engine.models.families import tower_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from engine.models.encoded import Encoded
    from engine.models.handles import ClipHandle
    from engine.models.tokenizer import Tokenizer

log = logging.getLogger(__name__)
Warn: TypeAlias = Callable[[str], None]
"""Takes one sentence for whoever wrote the prompt."""


class Encoder:
    """One text encoder; a class after it for each way in which prompts become a conditioning."""

    def __init__(
        self,
        module: nn.Module,
        handle: ClipHandle,
        tokenizer: Tokenizer,
        device: torch.device,
        dtype: torch.dtype,
        embedding_folders: Sequence[Path] = (),
    ) -> None:
        self.module = module
        self.handle = handle
        self.tokenizer = tokenizer
        self.device = device
        self.dtype = dtype
        self.tower = tower_of(handle.family, handle.tower)
        self._folders = embedding_folders

    @property
    def encoders(self) -> tuple[Self, ...]:
        """The towers: itself."""
        return (self,)

    def signed(self, found: Encoded) -> Encoded:
        """Return what it made, with its kind."""
        return found.signed([self.tower.kind])

    def encode(self, text: str, warn: Warn = log.warning, pictures: Sequence[Tensor] = (), style: str = "") -> Encoded:
        """Return the conditioning of a prompt, with `pictures` (1, H, W, 3) in 0..1 where it sees them, put in a `style`."""
        raise NotImplementedError

    def encode_each(self, texts: Mapping[str, str], text: str = "", warn: Warn = log.warning) -> Encoded:
        """Return what `encode` does, of the text for this tower by its name; `text` without one."""
        return self.encode(texts.get(self.handle.tower, text), warn)


def refuse_pictures(handle: ClipHandle, pictures: Sequence[Tensor]) -> None:
    """Raise ModelError when there are pictures, for an encoder that sees none."""
    if pictures:
        raise ModelError(
            f"{handle.source.path}: expected a text encoder that sees pictures, such as Qwen2.5-VL, got {handle.tower}. "
            "Load the family's text encoder, or encode the prompt without pictures."
        )
