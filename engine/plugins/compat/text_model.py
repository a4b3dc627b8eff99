"""`clip.cond_stage_model`: a text encoder's network as packs encode tokens with it themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.models.encoded import Encoded
from engine.models.encoder import refuse_pictures
from engine.models.handles import ClipHandle
from engine.models.joined import JoinedEncoder
from engine.models.text import Token
from engine.models.towers.language_encoder import LanguageEncoder
from engine.models.towers.seeing_encoder import SeeingEncoder
from engine.models.weights import named_parameters
from engine.plugins.compat.absent import refuse_part
from engine.plugins.compat.lent import Lent
from engine.plugins.compat.running import model_manager, warn


def encode_rows(handle: ClipHandle, tokens: Any) -> Encoded:
    """The conditioning of rows of (token or vector, weight, …), or of a dict of them."""
    with model_manager().use(handle) as encoder:
        each = [_rows(tokens, one.handle.tower) for one in encoder.encoders]
        return encoder.encode_tokens(each) if isinstance(encoder, JoinedEncoder) else encoder.encode_tokens(each[0])


def rows_of(encoder: Any, text: str, images: Sequence[Any], template: str | None) -> list[list[Token]]:
    """A tower's rows of a prompt; of a language model's with pictures, and in a pack's own template."""
    if not isinstance(encoder, LanguageEncoder):
        return encoder.tokenize(text, warn)  # type: ignore[no-any-return]
    put = encoder.tower.prompting
    if images:
        put = next((one for one in encoder.tower.promptings if one.picture), put)
    if template:
        put = msgspec.structs.replace(put, template=template)
    if not isinstance(encoder, SeeingEncoder):
        refuse_pictures(encoder.handle, images)
        return [encoder.row(text, warn, put)]
    return [encoder.row_with_pictures(text, warn, put, images)]


def letter(tower: str) -> str:
    """What packs call a text encoder in a dict of tokens: "l" or "g"."""
    return tower.removeprefix("clip_")


def _rows(tokens: Any, tower: str) -> list[list[Token]]:
    rows = tokens
    if isinstance(tokens, dict):
        rows = tokens[letter(tower)] if letter(tower) in tokens else next(iter(tokens.values()))
    return [[Token(token[0], token[1], isinstance(token, Padding)) for token in row] for row in rows]


class Padding(tuple[Any, ...]):
    """A token that an encoder is not to see, in the rows that packs get: (token, weight) like the others."""

    __slots__ = ()


def told(token: Token, *more: Any) -> tuple[Any, ...]:
    """A token as packs take it: (token or vector, weight), and what is wanted beside these."""
    pair = (*token[:2], *more)
    return Padding(pair) if token.padding else pair


class TextModel:
    """The network of one text encoder of a pack's, and the options that it encodes with."""

    def __init__(self, clip: Any) -> None:
        self._clip = clip
        self._layer: int | None = None

    @property
    def handle(self) -> ClipHandle:
        """What it encodes with now."""
        handle: ClipHandle = self._clip.handle
        return handle if self._layer is None else handle.with_last_layer(self._layer)

    @property
    def clip_l(self) -> TextModel:
        """Its only tower: itself."""
        return self

    def set_clip_options(self, options: dict[str, Any]) -> None:
        """Take the conditioning from `layer`; other options there are none."""
        self._layer = options.get("layer", self._layer)

    def reset_clip_options(self) -> None:
        """Take it from where the text encoder says."""
        self._layer = None

    def encode_token_weights(self, token_weight_pairs: Any) -> tuple[Any, Any]:
        """The conditioning (1, T, D) and the pooled one (1, D) of rows of (token or vector, weight, …)."""
        found = encode_rows(self.handle, token_weight_pairs)
        return found.context, found.pooled

    def state_dict(self) -> Lent:
        """The patched weights by the field's names."""
        with model_manager().use(self.handle) as live:
            return Lent(
                {
                    f"{one.handle.tower}.transformer.{name}": weight.data
                    for one in live.encoders
                    for name, weight in named_parameters(one.module).items()
                }
            )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        refuse_part(f"clip.cond_stage_model.{name}", "text encoders that packs may take apart")
