"""What a text encoder gives. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.models.marks import digest

if TYPE_CHECKING:
    from torch import Tensor


PICTURE_SLOTS = "picture_slots"
"""Option (1, T) of what an encoder gives that saw pictures: which of the tokens are theirs."""

ENCODERS: Final = "text_encoders"
"""Option of what an encoder gives: the `kinds` of encoders that made it, and `of`, the digest of that context."""


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

    def signed(self, kinds: Iterable[str]) -> Encoded:
        """Return it with the kinds of encoders that made it."""
        return Encoded(self.context, signed(self.context, self.options, kinds))


def signed(context: Tensor, options: Mapping[str, Any], kinds: Iterable[str]) -> dict[str, Any]:
    """Return the options of a conditioning (1, T, D) with the kinds of encoders that made it; none: that is not known."""
    kept = {name: value for name, value in options.items() if name != ENCODERS}
    told = sorted(kinds)
    return {**kept, ENCODERS: {"kinds": told, "of": digest(context)}} if told else kept


def makers(context: Tensor, options: Mapping[str, Any]) -> frozenset[str]:
    """Return the kinds of encoders that made a conditioning; none where it tells none, or was changed since."""
    told = options.get(ENCODERS)
    if not isinstance(told, Mapping) or told.get("of") != digest(context):
        return frozenset()
    return frozenset(told["kinds"])
