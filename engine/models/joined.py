"""Several text encoders as one: each reads the prompt, and what they give stands side by side."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from engine.models.encoded import Encoded
from engine.models.encoder import Warn, refuse_pictures
from engine.models.families import family_named
from engine.models.text import Token

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import ClipHandle
    from engine.models.text import TextEncoder

log = logging.getLogger(__name__)


class JoinedEncoder:
    """The text encoders of a family that has several, such as Stable Diffusion XL (Podell et al. 2023, section 2.1)."""

    def __init__(self, handle: ClipHandle, encoders: Sequence[TextEncoder]) -> None:
        self.handle = handle
        self.encoders = tuple(encoders)

    def encode(self, text: str, warn: Warn = log.warning, pictures: Sequence[Tensor] = (), style: str = "") -> Encoded:
        """Return the context (1, T * rows, D) and the pooled text (1, P); D is the sum of the towers' widths."""
        refuse_pictures(self.handle, pictures)
        return self.encode_each({}, text, warn)

    def encode_each(self, texts: Mapping[str, str], text: str = "", warn: Warn = log.warning) -> Encoded:
        """Return what `encode` does, of a text for each tower by its name ("clip_l", "clip_g"); `text` for one without.

        A tower with fewer rows gets empty ones, so that the rows stand side by side.
        """
        return self.encode_tokens([one.tokenize(texts.get(one.handle.tower, text), warn) for one in self.encoders])

    def encode_some(self, texts: Mapping[str, str], warn: Warn = log.warning) -> Encoded:
        """Return what the towers with a text give; the others, by their names, are as if they were not there.

        Of a family that joins towers in a way of its own. CLIP towers get as many rows, empty ones where they have fewer.
        """
        family = family_named(self.handle.family)
        assert family.join is not None
        wanted = {one.handle.tower: one for one in self.encoders if one.handle.tower in texts}
        rows = {name: one.tokenize(texts[name], warn) for name, one in wanted.items()}
        most = max((len(rows[name]) for name in rows if name.startswith("clip_")), default=0)
        for name in rows:
            if name.startswith("clip_"):
                rows[name] = [*rows[name], *wanted[name].tokenize("") * (most - len(rows[name]))]
        found = {name: one.encode_tokens(rows[name]) for name, one in wanted.items()}
        return family.join(found).signed({one.tower.kind for one in wanted.values()})

    def encode_tokens(self, tokens: Sequence[list[list[Token]]]) -> Encoded:
        """Return context and options of each tower's rows; these are those of the tower which the family names for it."""
        family = family_named(self.handle.family)
        kinds = {encoder.tower.kind for encoder in self.encoders}
        pairs = list(zip(self.encoders, tokens, strict=True))
        if family.join is not None:
            joined = family.join({encoder.handle.tower: encoder.encode_tokens(rows) for encoder, rows in pairs})
            return joined.signed(kinds)
        most = max(len(rows) for rows in tokens)
        found = [encoder.encode_tokens([*rows, *encoder.tokenize("") * (most - len(rows))]) for encoder, rows in pairs]
        length = min(context.shape[1] for context, _ in found)
        context = torch.cat([context[:, :length] for context, _ in found], dim=-1)
        return Encoded(context, found[family.pooled].options).signed(kinds)
