"""Qwen3 (Qwen team 2025): 0.6B, 1.7B, 4B, 8B."""

from __future__ import annotations

from typing import Final

from engine.models.towers import chat
from engine.models.towers.language import LanguageKind

KIND: Final = LanguageKind(
    name="qwen3",
    title="Qwen3",
    chat=chat.QWEN3,
    model="transformers.models.qwen3.modeling_qwen3:Qwen3Model",
    settings="transformers.models.qwen3.configuration_qwen3:Qwen3Config",
    tokenizer="Qwen/Qwen3-4B",
    pad="<|endoftext|>",
    has=("layers.0.self_attn.q_norm.weight",),
    lacks=("layers.0.self_attn.q_proj.bias", "layers.0.pre_feedforward_layernorm.weight"),
    sees=False,
    constants={"rms_norm_eps": 1e-6, "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0}},
)
