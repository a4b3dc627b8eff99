"""Gemma 2 (Gemma team 2024): 2B, 9B."""

from __future__ import annotations

from typing import Final

from engine.models.towers.language import LanguageKind

KIND: Final = LanguageKind(
    name="gemma2",
    title="Gemma 2",
    model="transformers.models.gemma2.modeling_gemma2:Gemma2Model",
    settings="transformers.models.gemma2.configuration_gemma2:Gemma2Config",
    tokenizer="google/gemma-2-2b",
    pad="<pad>",
    has=("layers.0.pre_feedforward_layernorm.weight",),
    lacks=("layers.0.self_attn.q_norm.weight",),
    head_dim=256,
    constants={"rms_norm_eps": 1e-6, "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}},
)
