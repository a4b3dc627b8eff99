"""Encoders of T5's family: sizes and token rules, read off names and shapes. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from engine.models.families import tower_of
from engine.models.families.base import Tower, named
from engine.models.handles import ClipHandle, TokenFacts
from engine.models.shapes import Facts, Shapes, count
from engine.models.towers import kind_named
from engine.models.towers.clip import TextEncoderFacts

if TYPE_CHECKING:
    from torch import Tensor, nn

_FIRST = "encoder.block.0.layer.0.SelfAttention."
_SECOND_PLACES = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"
_TABLES = ("shared.weight", "encoder.embed_tokens.weight")


@dataclass(frozen=True, kw_only=True)
class T5Kind:
    """One of them; a `Kind` of `engine.models.towers`.

    `stack` and `settings`: the library's classes, `module:name`. `places_in_each`: whether every layer has its own table of
    distances, or the first one's is for all.
    """

    title: str
    METADATA: str
    TOKENIZER: str
    stack: str
    settings: str
    places_in_each: bool

    ENCODER = "engine.models.towers.t5_encoder:T5Encoder"
    HALF: Literal["bfloat16"] = field(default="bfloat16", init=False)
    """Their activations leave the range of float16."""

    @property
    def TITLE(self) -> str:  # noqa: N802
        """What messages call it."""
        return self.title

    def is_there(self, shapes: Shapes) -> bool:
        """Say whether these are this encoder, in the names of transformers."""
        named_so = f"{_FIRST}q.weight" in shapes and "encoder.final_layer_norm.weight" in shapes
        return named_so and (_SECOND_PLACES in shapes) is self.places_in_each

    def text_facts(self, shapes: Shapes, hints: Facts, tower: Tower) -> TextEncoderFacts:
        """Return the arguments of the library's config and token rules; KeyError for a tensor that is not there."""
        table = _table(shapes)
        if table is None:
            raise KeyError(_TABLES[0])
        buckets, heads = shapes[f"{_FIRST}relative_attention_bias.weight"]
        feed_forward = "encoder.block.0.layer.1.DenseReluDense."
        gated = f"{feed_forward}wi_0.weight" in shapes
        config = {
            "vocab_size": table[0],
            "d_model": table[1],
            "d_kv": shapes[f"{_FIRST}q.weight"][0] // heads,
            "d_ff": shapes[f"{feed_forward}wi_0.weight" if gated else f"{feed_forward}wi.weight"][0],
            "num_layers": count(shapes, "encoder.block."),
            "num_heads": heads,
            "relative_attention_num_buckets": buckets,
            "feed_forward_proj": "gated-gelu" if gated else "relu",
            "layer_norm_epsilon": float(hints.get("norm_eps", 1e-6)),
        }
        tokens = TokenFacts(
            max_length=int(hints.get("max_length", tower.least)), end=hints.get("eos"), pad=hints.get("pad", 0)
        )
        return TextEncoderFacts(tower=tower, config=config, tokens=tokens, stop_at=-1, cut_layers=0)

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """Make the library's encoder alone, whose table of tokens is its own."""
        told = named(self.settings)(
            **config, dropout_rate=0.0, is_encoder_decoder=False, use_cache=False, is_decoder=False
        )
        return cast("nn.Module", named(self.stack)(told))

    def renamed(self, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return a file's tensors under the encoder's names; what belongs to a decoder is left out."""
        found = {name.removeprefix("encoder."): value for name, value in tensors.items() if name.startswith("encoder.")}
        if "shared.weight" in tensors:
            found["embed_tokens.weight"] = tensors["shared.weight"]
        return found

    def spelled(self, module: str) -> tuple[str, ...]:
        """Return how LoRAs call a module."""
        return (f"encoder.{module}",)


def with_padding(clip: ClipHandle, padding: int, least: int) -> ClipHandle:
    """Return a copy whose encoders of T5's family pad a row to `least` tokens, but by `padding` at least; others stay."""
    return clip.with_towers(
        msgspec.structs.replace(one, tokens=msgspec.structs.replace(one.tokens, padding=padding, max_length=least))
        if isinstance(kind_named(tower_of(one.family, one.tower).kind), T5Kind)
        else one
        for one in clip.towers
    )


def tokens_of(shapes: Shapes) -> int:
    """Return how many tokens an encoder knows, 0 for one without a table."""
    return (_table(shapes) or (0,))[0]


def _table(shapes: Shapes) -> tuple[int, ...] | None:
    return next((shapes[name] for name in _TABLES if name in shapes), None)
