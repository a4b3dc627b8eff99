"""How T5's encoders read prompts."""

from __future__ import annotations

from typing import Annotated

from engine.api import Clip, In, node
from engine.models.towers.t5_kind import with_padding


@node("T5TokenizerOptions", category="_for_testing/conditioning", display_name=None)
def t5_tokenizer_options(
    clip: Clip,
    min_padding: Annotated[int, In(ge=0, le=10000, step=1, tip="Padding tokens after each text, at least.")] = 0,
    min_length: Annotated[int, In(ge=0, le=10000, step=1, tip="Tokens that a text is padded to.")] = 0,
) -> Clip:
    """Say how T5's encoders pad texts; encoders of other kinds stay as they are."""
    return with_padding(clip, min_padding, min_length)
