"""T5's encoder (Raffel et al. 2020; v1.1 of Shazeer 2020): sizes and token rules, read off names and shapes. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from engine.models.families.base import Tower
from engine.models.handles import TokenFacts
from engine.models.shapes import Facts, Shapes, count
from engine.models.towers.clip import TextEncoderFacts

if TYPE_CHECKING:
    from torch import Tensor, nn

TITLE: Final = "T5's encoder"
ENCODER: Final = "engine.models.towers.t5_encoder:T5Encoder"
METADATA: Final = "safelight.tokenizer.t5"
TOKENIZER: Final = "google/t5-v1_1-xxl"
_FIRST = "encoder.block.0.layer.0.SelfAttention."
_TABLES = ("shared.weight", "encoder.embed_tokens.weight")


def is_there(shapes: Shapes) -> bool:
    """Say whether these are T5's encoder, in the names of transformers."""
    return f"{_FIRST}q.weight" in shapes and "encoder.final_layer_norm.weight" in shapes


def text_facts(shapes: Shapes, hints: Facts, tower: Tower) -> TextEncoderFacts:
    """Return T5Config's arguments and token rules; KeyError for a tensor that is not there."""
    table = next((shapes[name] for name in _TABLES if name in shapes), None)
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


def build(config: Mapping[str, Any]) -> nn.Module:
    """Make a T5Stack: the encoder alone, whose table of tokens is its own."""
    from transformers.models.t5.configuration_t5 import T5Config
    from transformers.models.t5.modeling_t5 import T5Stack

    told = T5Config(**config, dropout_rate=0.0, is_encoder_decoder=False, use_cache=False, is_decoder=False)
    return cast("nn.Module", T5Stack(told))


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under T5Stack's names; what belongs to a decoder is left out."""
    found = {name.removeprefix("encoder."): value for name, value in tensors.items() if name.startswith("encoder.")}
    if "shared.weight" in tensors:
        found["embed_tokens.weight"] = tensors["shared.weight"]
    return found
