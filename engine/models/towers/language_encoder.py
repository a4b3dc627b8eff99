"""Prompts to conditioning by a language model: a template around the prompt, and what some of its layers make of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from engine.models.encoded import Encoded
from engine.models.encoder import Encoder, Warn, refuse_pictures
from engine.models.errors import ModelError, TokenizerError
from engine.models.text import Token
from engine.models.towers import kind_named
from engine.models.towers.language import LanguageKind, numbered
from engine.models.towers.quotes import letter_by_letter, pictures_before

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.families.base import Prompting
    from engine.models.handles import ClipHandle
    from engine.models.tokenizer import Tokenizer

log = logging.getLogger(__name__)
_TURN = "<|im_start|>"
_HEAD = 3
"""Tokens that open the user's part of a chat: its mark, "user" and a line break."""


class LanguageEncoder(Encoder):
    """A decoder-only language model with its tokenizer. It takes a prompt as it is: parentheses are text, and weigh nothing."""

    spelling: Mapping[str, Tokenizer] = {}
    """Other tokenizers that prompts go through too, by the options in which their tokens stand."""

    def __init__(
        self,
        module: nn.Module,
        handle: ClipHandle,
        tokenizer: Tokenizer,
        device: torch.device,
        dtype: torch.dtype,
        embedding_folders: Sequence[Path] = (),
    ) -> None:
        super().__init__(module, handle, tokenizer, device, dtype, embedding_folders)
        self.kind = cast("LanguageKind", kind_named(self.tower.kind))
        self._language: nn.Module = getattr(module, "language_model", module)

    def prompting_of(self, style: str) -> Prompting:
        """How the family puts prompts of a style (`Tower.styles`); its usual way where it has none of that name."""
        return self.tower.styles.get(style, self.tower.prompting)

    def encode(self, text: str, warn: Warn = log.warning, pictures: Sequence[Tensor] = (), style: str = "") -> Encoded:
        """Return the context (1, T, D), float32 on the CPU, of a prompt put to it as the family's `Prompting` says.

        D is the model's width times the number of layers that are taken. Where there is padding, the option `attention_mask`
        (1, T) is 0 there. `style`: one of the tower's `styles`, "" for the usual one. `warn` is told when a prompt is cut.
        Raises ModelError for pictures where the model sees none, and for a model that was loaded to write.
        """
        self.refuse_writer()
        put = self.prompting_of(style)
        found = self._joined([self.row_with_pictures(text, warn, put, pictures)], put)
        for option, other in self.spelling.items():
            ids = other.ids(text)
            if put.most and len(ids) >= put.most:
                warn(f"prompt: {len(ids) + 1} tokens of {option}, cut to {put.most}: the end of it is left out.")
            found.options[option] = torch.tensor([[*ids[: put.most - 1 if put.most else None], other.end]])
        return self.signed(found)

    def refuse_writer(self) -> None:
        """Raise ModelError for a model that is no family's text encoder, as far as its loader was told."""
        if self.tower.only_writes:
            from engine.models.text_files import types_of

            fits = ", ".join(types_of(Path(self.handle.source.path))) or "none that is known"
            raise ModelError(
                f"{self.handle.source.path}: holds {self.kind.title}, and the `type` that its loader was given takes another "
                f"text encoder, so that it was loaded to write texts alone. Types that take it: {fits}."
            )

    def tokenize(self, text: str, warn: Warn = log.warning, style: str = "") -> list[list[Token]]:
        """Return the prompt's one row: the template with the prompt in it, cut and padded as the family wants it."""
        return [self.row(text, warn, self.prompting_of(style))]

    def row(self, text: str, warn: Warn, put: Prompting) -> list[Token]:
        """Return the row of a prompt that is put so."""
        if self.handle.stop_at != -1:
            warn(f"{self.kind.title}: its layers are the family's choice, so that CLIPSetLastLayer changes nothing.")
        before, _, after = put.template.partition("{}")
        if put.alone:
            return self._alone(text, put, warn)
        apart = put.side == "middle" or put.cut == "prompt"
        ids = self.tokenizer.ids(f"{before}{text}{'' if apart else after}")
        end = self.tokenizer.ids(after) if apart and after else []
        most = put.most - len(end) if put.most else len(ids)
        if len(ids) > most:
            warn(
                f"prompt: {len(ids) + len(end)} tokens with the template, cut to {put.most}: the end of it is left out."
            )
        row = [Token(number, 1.0) for number in ids[:most]]
        return self._padded(row, [Token(number, 1.0) for number in end], put)

    def _alone(self, text: str, put: Prompting, warn: Warn) -> list[Token]:
        """The prompt, cut and padded by itself, between the halves of the template; pictures before it do not count."""
        first, last = self._halves(put)
        seen = pictures_before(text, put.picture)
        pieces = letter_by_letter(text[len(seen) :]) if put.letters else [text[len(seen) :]]
        ids = [number for piece in pieces for number in self.tokenizer.ids(piece)]
        if len(ids) > put.alone:
            warn(f"prompt: {len(ids)} tokens, cut to {put.alone}: the end of it is left out.")
        kept = [*first, *self.tokenizer.ids(seen), *ids[: put.alone]]
        padding = [Token(self._pad(), 1.0, padding=True)] * (put.alone - len(ids)) if len(ids) < put.alone else []
        return [*(Token(number, 1.0) for number in kept), *padding, *(Token(number, 1.0) for number in last)]

    def _halves(self, put: Prompting) -> tuple[list[int], list[int]]:
        """The tokens of a template before the prompt and after it."""
        before, _, after = put.template.partition("{}")
        return self.tokenizer.ids(before), self.tokenizer.ids(after) if after else []

    def _padded(self, row: list[Token], end: list[Token], put: Prompting) -> list[Token]:
        length = len(row) + len(end)
        wanted = max(put.least, math.ceil(length / put.multiple) * put.multiple)
        if wanted == length:
            return [*row, *end]
        padding = [Token(self._pad(), 1.0, padding=True)] * (wanted - length)
        if put.side == "left":
            return [*padding, *row, *end]
        return [*row, *padding, *end] if put.side == "middle" else [*row, *end, *padding]

    def _pad(self) -> int:
        if self.handle.tokens.pad is not None:
            return self.handle.tokens.pad
        found = self.tokenizer.ids(self.kind.pad)
        if len(found) != 1:
            raise TokenizerError(
                f"{self.handle.source.path}: its tokenizer has no token {self.kind.pad}, which pads a prompt. "
                f"Expected that of {self.kind.tokenizer}."
            )
        return found[0]

    def encode_tokens(self, rows: Sequence[Sequence[Token]]) -> Encoded:
        """Return context and options of rows as `tokenize` makes them, in any style, one after the other."""
        return self.signed(self._joined(rows, self.tower.prompting))

    @torch.no_grad()
    def _joined(self, rows: Sequence[Sequence[Token]], put: Prompting) -> Encoded:
        found = [self._encoded(row, put) for row in rows]
        masks = torch.cat([mask for _, mask in found], dim=1)
        options: dict[str, Any] = {} if masks.all() else {"attention_mask": masks}
        return Encoded(torch.cat([context for context, _ in found], dim=1), options)

    def _encoded(self, row: Sequence[Token], put: Prompting, seen: Sequence[Any] = ()) -> tuple[Tensor, Tensor]:
        """One row's context (1, T, D) and mask (1, T), without the tokens that are dropped."""
        mask = torch.tensor([[not token.padding for token in row]], dtype=torch.long)
        states = self._states(self._inputs(row, mask, put, seen), put)
        kept = self._kept(row, put)
        return torch.cat(states, dim=-1)[:, kept].float().cpu(), mask[:, kept]

    def _kept(self, row: Sequence[Token], put: Prompting) -> slice:
        """Which tokens of a row are not the template's: by the style whose template it begins with.

        Of another template, as packs have them, what is before the user's part of the chat is left out.
        """
        if put.alone:
            first, last = self._halves(put)
            return slice(len(first), len(row) - len(last))
        if not put.drop:
            return slice(0, None)
        ids = [token.value if isinstance(token.value, int) else -1 for token in row if not token.padding]
        for one in (put, *self.tower.promptings):
            before = self.tokenizer.ids(one.template.partition("{}")[0])[
                :-1
            ]  # the last may have become one with the prompt
            if one.drop and ids[: len(before)] == before:
                return slice(one.drop, None)
        turn = self.tokenizer.ids(_TURN)
        turns = [index for index, number in enumerate(ids) if [number] == turn]
        return slice(turns[1] + _HEAD if len(turns) > 1 else put.drop, None)

    def _states(self, given: Mapping[str, Any], put: Prompting) -> list[Tensor]:
        """The outputs (1, T, width) of the wanted layers, in their order."""
        layers = cast("Sequence[nn.Module]", self._language.layers)
        depth = len(layers) + self.handle.cut_layers
        wanted = numbered(put.layers, depth)
        seen: dict[int, Tensor] = {}
        hooks = [
            layers[0].register_forward_pre_hook(lambda _m, args, kwargs: seen.update({0: args[0]}), with_kwargs=True)
        ]
        hooks += [
            layers[number - 1].register_forward_hook(_keeping(seen, number))
            for number in wanted
            if 0 < number < depth or (number == depth and not put.last_normed)
        ]
        try:
            last = self.module(**given).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        seen.setdefault(depth, last)
        return [seen[number] for number in wanted]

    def row_with_pictures(self, text: str, warn: Warn, put: Prompting, pictures: Sequence[Tensor]) -> list[Token]:
        """Return the row of a prompt that is put so. Raises ModelError for pictures, which it does not see."""
        refuse_pictures(self.handle, pictures)
        return self.row(text, warn, put)

    def prepared(self, row: Sequence[Token], put: Prompting) -> dict[str, Any]:
        """What the library's model is called with for a row."""
        mask = torch.tensor([[not token.padding for token in row]], dtype=torch.long)
        return self._inputs(row, mask, put)

    def _inputs(self, row: Sequence[Token], mask: Tensor, put: Prompting, seen: Sequence[Any] = ()) -> dict[str, Any]:
        """What the library's model is called with, for one row and what is seen in it."""
        ids = torch.tensor([[cast("int", token.value) for token in row]], device=self.device)
        given: dict[str, Any] = {"input_ids": ids}
        if not mask.all():
            given["attention_mask"] = mask.to(self.device)
            if put.side == "middle" or put.pad_place is not None:  # padding takes no place
                places = (mask.cumsum(dim=-1) - 1).clamp(min=0)
                if put.pad_place is not None:
                    places = places.masked_fill(mask == 0, put.pad_place)
                given["position_ids"] = places.to(self.device)
        return given


def _keeping(seen: dict[int, Tensor], number: int) -> Any:
    def keep(_module: nn.Module, _args: Any, output: Any) -> None:
        seen[number] = output[0] if isinstance(output, tuple) else output

    return keep
