"""Ministral 3 (Mistral AI 2025): 3B, 8B, 14B, which see pictures, as text encoders of text."""

from __future__ import annotations

from typing import Final

from engine.models.shapes import Shapes
from engine.models.towers import chat
from engine.models.towers.language import LLAMA_TOKENS, MISTRAL_SMALL_SIZE, TABLE, LanguageKind, feed_forward


def is_ministral(shapes: Shapes) -> bool:
    """Say whether it has Mistral's vocabulary and one of Ministral's sizes, or sizes of none."""
    return shapes[TABLE][0] != LLAMA_TOKENS and feed_forward(shapes) != MISTRAL_SMALL_SIZE


KIND: Final = LanguageKind(
    name="ministral3",
    title="Ministral 3",
    chat=chat.MISTRAL,
    model="transformers.models.ministral3.modeling_ministral3:Ministral3Model",
    settings="transformers.models.ministral3.configuration_ministral3:Ministral3Config",
    tokenizer="mistralai/Ministral-3-3B-Instruct-2512",
    pad="<pad>",
    has=("layers.0.self_attn.q_proj.weight",),
    lacks=(
        "layers.0.self_attn.q_norm.weight",
        "layers.0.pre_feedforward_layernorm.weight",
        "layers.0.self_attn.q_proj.bias",
    ),
    check=is_ministral,
    constants={
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 262_144,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 1_000_000.0,
            "factor": 16.0,
            "original_max_position_embeddings": 16_384,
            "max_position_embeddings": 262_144,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            "llama_4_scaling_beta": 0.1,
        },
    },
)
