"""Calls of a network that was distilled to be told how strong guidance is, without being told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


@contextmanager
def told_guidance(module: Any, guidance: Tensor | None, like: Tensor, embeds: bool) -> Iterator[Tensor | None]:
    """Give what a FLUX.1 module takes for `guidance` (B,), in the dtype and on the device of `like` (B, …).

    Without one, a module that `embeds` it adds nothing to its time for it within the block: the library's classes have no
    other way.
    """
    if guidance is not None or not embeds:
        yield None if guidance is None else guidance.to(like)
        return
    embedder: nn.Module = module.time_text_embed.guidance_embedder
    handle = embedder.register_forward_hook(lambda _, __, made: torch.zeros_like(made))
    try:
        yield like.new_zeros(len(like))
    finally:
        handle.remove()
