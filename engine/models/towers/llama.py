"""Llama 3.1 8B (Llama team 2024)."""

from __future__ import annotations

from typing import Final

from engine.models.towers import chat
from engine.models.towers.language import MISTRAL_TOKENS, TABLE, LanguageKind

KIND: Final = LanguageKind(
    name="llama",
    title="Llama 3.1",
    chat=chat.LLAMA,
    model="transformers.models.llama.modeling_llama:LlamaModel",
    settings="transformers.models.llama.configuration_llama:LlamaConfig",
    tokenizer="meta-llama/Llama-3.1-8B-Instruct",
    pad="<|eot_id|>",
    has=("layers.0.self_attn.q_proj.weight",),
    lacks=(
        "layers.0.self_attn.q_norm.weight",
        "layers.0.pre_feedforward_layernorm.weight",
        "layers.0.self_attn.q_proj.bias",
    ),
    check=lambda shapes: shapes[TABLE][0] != MISTRAL_TOKENS,
    constants={
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 131_072,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
)
