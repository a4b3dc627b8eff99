"""Qwen2.5-VL (Qwen team 2025): 3B, 7B."""

from __future__ import annotations

from typing import Any, Final

from engine.models.shapes import Shapes, count
from engine.models.towers import chat
from engine.models.towers.seeing import SeeingKind


def vision(shapes: Shapes) -> dict[str, Any]:
    """Return the arguments of the library's vision config: 32 layers of 16 heads, of which every eighth sees all at once."""
    return {
        "depth": count(shapes, "blocks."),
        "hidden_size": shapes["blocks.0.attn.qkv.weight"][1],
        "intermediate_size": shapes["blocks.0.mlp.gate_proj.weight"][0],
        "patch_size": shapes["patch_embed.proj.weight"][-1],
        "temporal_patch_size": shapes["patch_embed.proj.weight"][2],
    }


KIND: Final = SeeingKind(
    name="qwen2_5_vl",
    title="Qwen2.5-VL",
    chat=chat.QWEN2_5_VL,
    model="transformers.models.qwen2_5_vl.modeling_qwen2_5_vl:Qwen2_5_VLTextModel",
    settings="transformers.models.qwen2_5_vl.configuration_qwen2_5_vl:Qwen2_5_VLTextConfig",
    tokenizer="Qwen/Qwen2.5-VL-7B-Instruct",
    pad="<|endoftext|>",
    has=("layers.0.self_attn.q_proj.bias",),
    lacks=("layers.0.self_attn.q_norm.weight", "layers.0.self_attn.o_proj.bias"),
    whole="transformers.models.qwen2_5_vl.modeling_qwen2_5_vl:Qwen2_5_VLModel",
    whole_settings="transformers.models.qwen2_5_vl.configuration_qwen2_5_vl:Qwen2_5_VLConfig",
    vision=vision,
    mean=(0.48145466, 0.4578275, 0.40821073),
    deviation=(0.26862954, 0.26130258, 0.27577711),
    constants={
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [16, 24, 24]},
    },
)
