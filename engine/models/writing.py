"""Text written by a language model that stands among a family's text encoders (GPT's way: one token after the other)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
import torch

from engine.models.detect import metadata_facts
from engine.models.errors import ModelError
from engine.models.families import tower_of
from engine.models.families.base import Prompting, Tower
from engine.models.packed import load_tensors, read_header
from engine.models.shapes import part
from engine.models.towers import kind_named
from engine.models.towers.language import LanguageKind

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import ClipHandle
    from engine.models.towers.chat import Chat
    from engine.models.towers.language_encoder import LanguageEncoder

_HEADS = ("lm_head.weight", "model.lm_head.weight", "language_model.lm_head.weight")
"""Where files have the layer that gives each token its score; those of models that use the table of tokens for it have none."""

_AS_IT_IS = Prompting()


class Sampling(NamedTuple):
    """How the next token is drawn. `temperature` above 0; `top_k` 0 and `top_p` 1 keep all tokens, `min_p` is a share of the best
    one's probability; `repetition` (1 is none) divides or multiplies the scores of tokens that were written, `presence` is taken
    off them.
    """

    temperature: float = 0.7
    top_k: int = 64
    top_p: float = 0.95
    min_p: float = 0.05
    repetition: float = 1.05
    presence: float = 0.0
    seed: int = 0


class Written(NamedTuple):
    """What a model wrote, and what it thought before it did."""

    text: str
    thinking: str


def writer_among(clip: ClipHandle, *, sees: bool = False) -> tuple[ClipHandle, Chat]:
    """Return the language model among a family's text encoders, with all of its layers, and how it is talked to.

    `sees`: with its vision tower too, where its file has one, though the family may have no use for that. Raises ModelError
    where none of them can write.
    """
    for tower in clip.towers:
        kind = kind_named(tower_of(tower.family, tower.tower).kind)
        if isinstance(kind, LanguageKind) and kind.chat is not None:
            whole = kind.with_all_layers(tower.config, tower.cut_layers)
            if sees and "vision" not in whole:
                whole |= _sight(tower, kind)
            return msgspec.structs.replace(tower, config=whole, cut_layers=0, beside=()), kind.chat
    names = ", ".join(tower.tower for tower in clip.towers)
    raise ModelError(
        f"{clip.source.path}: none of its text encoders ({names}) writes text. Connect a CLIPLoader with a language "
        "model, such as Qwen3, Qwen2.5-VL, Qwen3-VL, Gemma 3 or Llama 3.1."
    )


def _sight(tower: ClipHandle, kind: LanguageKind) -> dict[str, Any]:
    """The arguments of the vision tower in the file of a text encoder, by name; {} where it has none."""
    header = read_header(Path(tower.source.path))
    shapes = part(header.shapes, tower.prefix) if tower.prefix else header.shapes
    told = metadata_facts(header.metadata, header.path).get("text", {})
    placed = Prompting(picture=kind.chat.picture if kind.chat else "")
    config = kind.text_facts(shapes, told, Tower(name=tower.tower, kind=kind.name, prompting=placed)).config
    return {"vision": config["vision"]} if "vision" in config else {}


@torch.no_grad()
def write(
    encoder: LanguageEncoder,
    text: str,
    most: int,
    ends: Sequence[str],
    sampling: Sampling | None = None,
    pictures: Sequence[Tensor] = (),
    report: Callable[[int, int], None] | None = None,
    show: Callable[[Callable[[], str]], None] | None = None,
) -> str:
    """Return what the model goes on with after `text`, at most `most` tokens, or up to one of the tokens `ends`.

    `sampling` None takes the likeliest token each time. `pictures` (1, H, W, 3) in 0..1 stand where the text has their token.
    `report` is told the tokens so far and the most there can be, `show` a function that gives the text so far.
    Raises ModelError for pictures that the model cannot see.
    """
    given = encoder.prepared(encoder.row_with_pictures(text, lambda _: None, _AS_IT_IS, pictures), _AS_IT_IS)
    stops = {ids[0] for end in ends if len(ids := encoder.tokenizer.ids(end)) == 1}
    draw = _Draw(sampling)
    cache, head, found = _cache(encoder), _head(encoder), list[int]()
    while len(found) < most:
        states = encoder.module(**given, past_key_values=cache, use_cache=True).last_hidden_state
        token = draw((states[:, -1] @ head.T).float().cpu(), found)
        if token in stops:
            break
        found.append(token)
        if report is not None:
            report(len(found), most)
        if show is not None:
            show(lambda: encoder.tokenizer.text(found))
        given = {"input_ids": torch.tensor([[token]], device=encoder.device)}
    return encoder.tokenizer.text(found)


def thought_apart(prompt: str, written: str) -> Written:
    """Part what a model wrote from the thinking before it, where the prompt or the text opens such a block."""
    opened = written.lstrip().startswith("<think>")
    if not opened and not prompt.rstrip().endswith("<think>"):
        return Written(written, "")
    thinking, _, answer = written.lstrip().removeprefix("<think>").partition("</think>")
    return Written(answer.strip(), thinking.strip())


def _cache(encoder: LanguageEncoder) -> Any:
    from transformers.cache_utils import DynamicCache

    return DynamicCache(config=cast("Any", encoder.module).config.get_text_config(decoder=True))


def _head(encoder: LanguageEncoder) -> Tensor:
    """The layer (V, D) that scores tokens, as the file has it, else the table of tokens."""
    header = read_header(Path(encoder.handle.source.path))
    name = next(
        (f"{encoder.handle.prefix}{name}" for name in _HEADS if f"{encoder.handle.prefix}{name}" in header.shapes), ""
    )
    found = load_tensors(header, [name])[name] if name else cast("Any", encoder.module).get_input_embeddings().weight
    return cast("Tensor", found).to(encoder.device, encoder.dtype)


class _Draw:
    """Chooses the next token of scores (1, V)."""

    def __init__(self, sampling: Sampling | None) -> None:
        self._told = sampling
        self._generator = torch.Generator().manual_seed(sampling.seed if sampling else 0)
        self._of_written, self._of_all = ([], []) if sampling is None else self._steps(sampling)

    def __call__(self, scores: Tensor, written: Sequence[int]) -> int:
        if self._told is None:
            return int(scores.argmax())
        ids = torch.tensor([list(written)], dtype=torch.long)
        scores[0, list(set(written))] -= self._told.presence
        for step in (*(self._of_written if written else ()), *self._of_all):
            scores = step(ids, scores)
        return int(torch.multinomial(scores.softmax(dim=-1), 1, generator=self._generator))

    @staticmethod
    def _steps(told: Sampling) -> tuple[list[Any], list[Any]]:
        """The library's steps for scores: those that need something written, and the others."""
        from transformers.generation import logits_process as library

        repeated = [library.RepetitionPenaltyLogitsProcessor(told.repetition)] if told.repetition not in (0, 1) else []
        return repeated, [
            library.TemperatureLogitsWarper(told.temperature),
            *([library.TopKLogitsWarper(told.top_k)] if told.top_k else []),
            *([library.TopPLogitsWarper(told.top_p)] if told.top_p < 1 else []),
            *([library.MinPLogitsWarper(told.min_p)] if told.min_p else []),
        ]
