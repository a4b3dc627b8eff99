"""Mistral Small 3 (Mistral AI 2025), 24B, which sees pictures, as text encoder of text."""

from __future__ import annotations

from typing import Final

from engine.models.shapes import Shapes
from engine.models.towers import chat
from engine.models.towers.language import LLAMA_TOKENS, MINISTRAL_SIZES, TABLE, LanguageKind, feed_forward


def is_mistral(shapes: Shapes) -> bool:
    """Say whether it has Mistral's vocabulary, or that of none, and is not one of Ministral 3's sizes."""
    return shapes[TABLE][0] != LLAMA_TOKENS and feed_forward(shapes) not in MINISTRAL_SIZES


KIND: Final = LanguageKind(
    name="mistral",
    title="Mistral Small 3",
    chat=chat.MISTRAL,
    model="transformers.models.mistral.modeling_mistral:MistralModel",
    settings="transformers.models.mistral.configuration_mistral:MistralConfig",
    tokenizer="mistralai/Mistral-Small-3.2-24B-Instruct-2506",
    pad="<pad>",
    has=("layers.0.self_attn.q_proj.weight",),
    lacks=(
        "layers.0.self_attn.q_norm.weight",
        "layers.0.pre_feedforward_layernorm.weight",
        "layers.0.self_attn.q_proj.bias",
    ),
    check=is_mistral,
    constants={
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 131_072,
        "sliding_window": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000_000.0},
    },
)
