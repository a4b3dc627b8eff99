"""Prompts with pictures to conditioning, by a language model that sees them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch

from engine.models.encoded import PICTURE_SLOTS, Encoded
from engine.models.encoder import Warn
from engine.models.errors import ModelError
from engine.models.text import Token
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
        """Return what `LanguageEncoder.encode` does, of a prompt with pictures (1, H, W, 3) in 0..1.

        They stand where text or template have their token, as many times as there are pictures; else before the text, each as
        the `picture` of the style's `Prompting` says it, that of number 1 first. They are taken as they are given: how large a
        family's pictures are is its node's business. The places of a picture's tokens are those of its rows and columns, as the
        model was trained (some of the library's pipelines do not say which tokens are pictures, and number them like text).

        The option `picture_slots` (1, T) tells which tokens of the context are pictures.

        Raises ModelError where the family's prompts have no place for pictures, or the file no vision tower, and for a model
        that was loaded to write.
        """
        self.refuse_writer()
        put = self.prompting_of(style)
        return self.signed(self._joined([self.row_with_pictures(text, warn, put, pictures)], put))

    def row_with_pictures(self, text: str, warn: Warn, put: Prompting, pictures: Sequence[Tensor]) -> list[Token]:
        """Return the row of a prompt that is put so; a picture is the value of its token."""
        if not pictures:
            return self.row(text, warn, put)
        mark, token = cast("SeeingKind", self.kind).token, self._picture_token()
        if f"{put.template}{text}".count(mark) != len(pictures):
            text = self._before(put, len(pictures)) + text
        row = self.row(text, warn, put)
        places = [index for index, one in enumerate(row) if one.value == token]
        if len(places) != len(pictures):
            raise ModelError(
                f"{self.handle.source.path}: a prompt with {len(places)} places for {len(pictures)} pictures. Leave {mark} out "
                "of the text, or make it shorter, so that no picture is cut off."
            )
        for index, picture in zip(places, pictures, strict=True):
            row[index] = Token(picture, 1.0)
        return row

    def _before(self, put: Prompting, count: int) -> str:
        """What stands before a text for so many pictures."""
        if not put.picture:
            raise ModelError(
                f"{self.handle.source.path}: the prompts of this family have no place for pictures, and got one. Use the "
                "family's node that takes pictures, or encode the prompt without."
            )
        return put.between.join(put.picture.replace("{}", str(number)) for number in range(1, count + 1))

    def _joined(self, rows: Sequence[Sequence[Token]], put: Prompting) -> Encoded:
        seen = [[self._seen(one) for one in row] for row in rows]
        context, options = super()._joined(seen, put)
        slots = [_is_seen(one) for row in seen for one in row[self._kept(row, put)] for _ in range(_tokens(one))]
        if any(slots):
            options[PICTURE_SLOTS] = torch.tensor([slots])
        return Encoded(context, options)

    def _seen(self, token: Token) -> Token:
        """A token, the patches of its picture in the place of one."""
        if not isinstance(token.value, torch.Tensor) or token.value.ndim != 4:
            return token
        return token._replace(value=cast("Any", self._patches(token.value)))

    def prepared(self, row: Sequence[Token], put: Prompting) -> dict[str, Any]:
        """What the library's model is called with for a row, its pictures with it."""
        whole, found = self._whole([self._seen(one) for one in row])
        return self._inputs(whole, torch.ones(1, len(whole), dtype=torch.long), put, found)

    def _whole(self, row: Sequence[Token]) -> tuple[list[Token], list[Patches]]:
        """A row with a token for each part of a picture, and the pictures."""
        token = Token(self._picture_token(), 1.0) if any(_is_seen(one) for one in row) else None
        whole = [token if token and _is_seen(one) else one for one in row for _ in range(_tokens(one))]
        return whole, [cast("Patches", one.value) for one in row if _is_seen(one)]

    def _encoded(self, row: Sequence[Token], put: Prompting, seen: Sequence[Any] = ()) -> tuple[Tensor, Tensor]:
        whole, found = self._whole(row)
        return super()._encoded(whole, put, found)

    def _patches(self, picture: Any) -> Patches:
        if "vision" not in self.handle.config:
            raise ModelError(
                f"{self.handle.source.path}: a prompt with a picture, and no vision tower to see it with. Use a text encoder "
                "file with visual.* tensors, for a family that is told of pictures, or encode the prompt without."
            )
        settings = cast("Any", self.module).config.vision_config
        sizes = (settings.patch_size, settings.temporal_patch_size, settings.spatial_merge_size)
        return patches(picture, cast("SeeingKind", self.kind), *sizes)

    def _picture_token(self) -> int:
        token = cast("SeeingKind", self.kind).token
        found = self.tokenizer.ids(token)
        if len(found) != 1:
            raise ModelError(
                f"{self.handle.source.path}: its tokenizer has no token {token}, which stands for pictures."
            )
        return found[0]

    def _inputs(self, row: Sequence[Token], mask: Tensor, put: Prompting, seen: Sequence[Any] = ()) -> dict[str, Any]:
        given = super()._inputs(row, mask, put)
        if seen:
            token = self._picture_token()
            cast("Any", self.module).config.image_token_id = token
            given["pixel_values"] = torch.cat([one.values for one in seen]).to(self.device, self.dtype)
            given["image_grid_thw"] = torch.tensor([one.grid for one in seen], device=self.device)
            given["mm_token_type_ids"] = (given["input_ids"] == token).int()
        return given


def _is_seen(token: Token) -> bool:
    return isinstance(token.value, Patches)


def _tokens(token: Token) -> int:
    """How many tokens of the language model it is."""
    return token.value.tokens if isinstance(token.value, Patches) else 1
