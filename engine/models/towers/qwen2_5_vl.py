"""Qwen2.5-VL (Qwen team 2025): 3B, 7B."""

from __future__ import annotations

from typing import Final

from engine.models.towers.language import LanguageKind

KIND: Final = LanguageKind(
    name="qwen2_5_vl",
    title="Qwen2.5-VL",
    model="transformers.models.qwen2_5_vl.modeling_qwen2_5_vl:Qwen2_5_VLTextModel",
    settings="transformers.models.qwen2_5_vl.configuration_qwen2_5_vl:Qwen2_5_VLTextConfig",
    tokenizer="Qwen/Qwen2.5-VL-7B-Instruct",
    pad="<|endoftext|>",
    has=("layers.0.self_attn.q_proj.bias",),
    lacks=("layers.0.self_attn.q_norm.weight", "layers.0.self_attn.o_proj.bias"),
    constants={
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [16, 24, 24]},
    },
)
