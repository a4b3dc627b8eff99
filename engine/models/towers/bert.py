"""BERT (Devlin et al. 2019): sizes and token rules, read off names and shapes. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from engine.models.families.base import Tower
from engine.models.handles import TokenFacts
from engine.models.shapes import Facts, Shapes, count
from engine.models.towers.clip import TextEncoderFacts

if TYPE_CHECKING:
    from torch import Tensor, nn

TITLE: Final = "BERT"
ENCODER: Final = "engine.models.towers.bert_encoder:BertEncoder"
HALF: Final = "bfloat16"
METADATA: Final = "safelight.tokenizer.bert"
TOKENIZER: Final = "hfl/chinese-roberta-wwm-ext-large"

_PREFIX: Final = "bert."
"""Of models that were trained to fill gaps, whose own part stands behind it."""
_FIRST: Final = "encoder.layer.0.attention.self.query.weight"
_WORDS: Final = "embeddings.word_embeddings.weight"
_UNUSED: Final = ("cls.", "pooler.", "embeddings.position_ids")


def _bare(tensors: Mapping[str, Any]) -> dict[str, Any]:
    named = {name.removeprefix(_PREFIX): value for name, value in tensors.items()}
    return {name: value for name, value in named.items() if not name.startswith(_UNUSED)}


def is_there(shapes: Shapes) -> bool:
    """Say whether these are BERT, in the names of transformers."""
    found = _bare(shapes)
    return all(name in found for name in (_FIRST, _WORDS, "embeddings.token_type_embeddings.weight"))


def text_facts(shapes: Shapes, hints: Facts, tower: Tower) -> TextEncoderFacts:
    """Return BertConfig's arguments and token rules; KeyError for a tensor that is not there."""
    found = _bare(shapes)
    rows, width = found[_WORDS]
    config = {
        "vocab_size": rows,
        "hidden_size": width,
        "num_hidden_layers": count(found, "encoder.layer."),
        "num_attention_heads": int(hints.get("heads", max(1, width // tower.head_dim))),
        "intermediate_size": found["encoder.layer.0.intermediate.dense.weight"][0],
        "max_position_embeddings": found["embeddings.position_embeddings.weight"][0],
        "type_vocab_size": found["embeddings.token_type_embeddings.weight"][0],
        "layer_norm_eps": float(hints.get("norm_eps", 1e-12)),
    }
    tokens = TokenFacts(
        max_length=int(hints.get("max_length", tower.least)),
        start=hints.get("bos"),
        end=hints.get("eos"),
        pad=hints.get("pad", 0),
    )
    return TextEncoderFacts(tower=tower, config=config, tokens=tokens, stop_at=-1, cut_layers=0)


def build(config: Mapping[str, Any]) -> nn.Module:
    """Make a BertModel without a pooled text."""
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.modeling_bert import BertModel

    told = BertConfig(**config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return cast("nn.Module", BertModel(told, add_pooling_layer=False))


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under BertModel's names; what fills gaps and what pools is left out."""
    return _bare(tensors)


def spelled(module: str) -> tuple[str, ...]:
    """Return how LoRAs call a module."""
    return module, f"{_PREFIX}{module}"
