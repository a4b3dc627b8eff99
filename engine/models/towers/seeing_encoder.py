"""Prompts with pictures to conditioning, by a language model that sees them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch

from engine.models.encoded import PICTURE_SLOTS, Encoded
from engine.models.errors import ModelError
from engine.models.text import Token, Warn
from engine.models.towers.language_encoder import LanguageEncoder
from engine.models.towers.pictures import Patches, patches

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Prompting
    from engine.models.towers.seeing import SeeingKind

log = logging.getLogger(__name__)


class SeeingEncoder(LanguageEncoder):
    """A language model with a vision tower, such as Qwen2.5-VL (Bai et al. 2025)."""

    def encode(self, text: str, warn: Warn = log.warning, pictures: Sequence[Tensor] = (), style: str = "") -> Encoded:
        """Return what `LanguageEncoder.encode` does, of a prompt with pictures (1, H, W, 3) in 0..1 before it.

        Each stands where the `picture` text of the style's `Prompting` has its token, that of picture number 1 first; a text
        that has these within it, one for each, is left so. They are taken as they are given: how large a family's pictures are
        is its node's business. The places of a picture's tokens are those of its rows and columns, as the model was trained
        (some of the library's pipelines do not say which tokens are pictures, and number them like text).

        The option `picture_slots` (1, T) tells which tokens of the context are pictures.

        Raises ModelError where the family's prompts have no place for pictures, or the file no vision tower.
        """
        if not pictures:
            return super().encode(text, warn, (), style)
        put = self.prompting_of(style)
        seen = [self._patches(picture, put) for picture in pictures]
        named = [put.picture.replace("{}", str(number)) for number in range(1, len(seen) + 1)]
        before = "" if all(text.count(one) == named.count(one) for one in named) else put.between.join(named)
        [row] = self.tokenize(before + text, warn, style)
        row = self._with_pictures(row, seen)
        context, options = self._joined([(row, seen)], put)
        token = self._picture_token()
        slots = torch.tensor([[one.value == token for one in row[put.drop :]]])
        return Encoded(context, {**options, PICTURE_SLOTS: slots})

    def _patches(self, picture: Tensor, put: Prompting) -> Patches:
        config = self.handle.config.get("vision")
        if config is None or not put.picture:
            lacks = "have no place for pictures" if config is not None or not put.picture else "want a vision tower"
            raise ModelError(
                f"{self.handle.source.path}: the prompts of this family {lacks}, and got a picture. Use a text encoder file "
                "with visual.* tensors and a family that is told of pictures, or encode the prompt without."
            )
        settings = cast("Any", self.module).config.vision_config
        return patches(
            picture,
            cast("SeeingKind", self.kind),
            settings.patch_size,
            settings.temporal_patch_size,
            settings.spatial_merge_size,
        )

    def _picture_token(self) -> int:
        token = cast("SeeingKind", self.kind).token
        found = self.tokenizer.ids(token)
        if len(found) != 1:
            raise ModelError(
                f"{self.handle.source.path}: its tokenizer has no token {token}, which stands for pictures."
            )
        return found[0]

    def _with_pictures(self, row: Sequence[Token], seen: Sequence[Patches]) -> list[Token]:
        """The row, with as many tokens for each picture as it has."""
        token = self._picture_token()
        places = [index for index, one in enumerate(row) if one.value == token]
        if len(places) != len(seen):
            raise ModelError(
                f"{self.handle.source.path}: a prompt with {len(places)} places for {len(seen)} pictures. Leave "
                f"{cast('SeeingKind', self.kind).token} out of the text, or make it shorter, so that no picture is cut off."
            )
        counts = dict(zip(places, (one.tokens for one in seen), strict=True))
        return [one for index, one in enumerate(row) for _ in range(counts.get(index, 1))]

    def _inputs(self, row: Sequence[Token], mask: Tensor, put: Prompting, seen: Sequence[Any] = ()) -> dict[str, Any]:
        given = super()._inputs(row, mask, put)
        if seen:
            token = self._picture_token()
            cast("Any", self.module).config.image_token_id = token
            given["pixel_values"] = torch.cat([one.values for one in seen]).to(self.device, self.dtype)
            given["image_grid_thw"] = torch.tensor([one.grid for one in seen], device=self.device)
            given["mm_token_type_ids"] = (given["input_ids"] == token).int()
        return given
