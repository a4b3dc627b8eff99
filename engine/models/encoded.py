"""What a text encoder gives. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


PICTURE_SLOTS = "picture_slots"
"""Option (1, T) of what an encoder gives that saw pictures: which of the tokens are theirs."""


class Encoded(NamedTuple):
    """A conditioning: the context (1, T, D), float32 on the CPU, and the options that stand beside it.

    `pooled_output` (1, P) of encoders that have a pooled text, `attention_mask` (1, T) where some tokens are padding.
    """

    context: Tensor
    options: dict[str, Any]

    @property
    def pooled(self) -> Tensor | None:
        """The pooled text (1, P)."""
        return self.options.get("pooled_output")
