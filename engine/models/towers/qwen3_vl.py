"""Qwen3-VL (Qwen team 2025): 2B, 4B, 8B."""

from __future__ import annotations

from typing import Final

from engine.models.towers.language import LanguageKind

KIND: Final = LanguageKind(
    name="qwen3_vl",
    title="Qwen3-VL",
    model="transformers.models.qwen3_vl.modeling_qwen3_vl:Qwen3VLTextModel",
    settings="transformers.models.qwen3_vl.configuration_qwen3_vl:Qwen3VLTextConfig",
    tokenizer="Qwen/Qwen3-VL-4B-Instruct",
    pad="<|endoftext|>",
    has=("layers.0.self_attn.q_norm.weight",),
    lacks=("layers.0.self_attn.q_proj.bias", "layers.0.pre_feedforward_layernorm.weight"),
    sees=True,
    constants={
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5_000_000.0,
            "mrope_section": [24, 20, 20],
            "mrope_interleaved": True,
        },
    },
)
