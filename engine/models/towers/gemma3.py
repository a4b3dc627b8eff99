"""Gemma 3 (Gemma team 2025): 4B, 12B, which see pictures, as text encoders of text."""

from __future__ import annotations

from typing import Final

from engine.models.towers import chat
from engine.models.towers.language import LanguageKind

KIND: Final = LanguageKind(
    name="gemma3",
    title="Gemma 3",
    chat=chat.GEMMA3,
    model="transformers.models.gemma3.modeling_gemma3:Gemma3TextModel",
    settings="transformers.models.gemma3.configuration_gemma3:Gemma3TextConfig",
    tokenizer="google/gemma-3-4b-it",
    pad="<pad>",
    has=("layers.0.pre_feedforward_layernorm.weight", "layers.0.self_attn.q_norm.weight"),
    lacks=("layers.0.layer_scalar",),  # Gemma 4's
    constants={
        "rms_norm_eps": 1e-6,
        "sliding_window": 1024,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
    },
)
