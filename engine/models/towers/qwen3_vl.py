"""Qwen3-VL (Qwen team 2025): 2B, 4B, 8B."""

from __future__ import annotations

from typing import Any, Final

from engine.models.shapes import Shapes, count
from engine.models.towers import chat
from engine.models.towers.seeing import SeeingKind

_DEEP = {24: (5, 11, 17), 27: (8, 16, 24)}
"""After which layers of a vision tower of so many what it sees is given to the language model too: of 2B and 4B, and of 8B."""


def vision(shapes: Shapes) -> dict[str, Any]:
    """Return the arguments of the library's vision config: 16 heads."""
    depth = count(shapes, "blocks.")
    return {
        "depth": depth,
        "hidden_size": shapes["blocks.0.attn.qkv.weight"][1],
        "intermediate_size": shapes["blocks.0.mlp.linear_fc1.weight"][0],
        "patch_size": shapes["patch_embed.proj.weight"][-1],
        "temporal_patch_size": shapes["patch_embed.proj.weight"][2],
        "num_position_embeddings": shapes["pos_embed.weight"][0],
        "deepstack_visual_indexes": list(_DEEP.get(depth, ())),
    }


KIND: Final = SeeingKind(
    name="qwen3_vl",
    title="Qwen3-VL",
    chat=chat.QWEN3_VL,
    model="transformers.models.qwen3_vl.modeling_qwen3_vl:Qwen3VLTextModel",
    settings="transformers.models.qwen3_vl.configuration_qwen3_vl:Qwen3VLTextConfig",
    tokenizer="Qwen/Qwen3-VL-4B-Instruct",
    pad="<|endoftext|>",
    has=("layers.0.self_attn.q_norm.weight",),
    lacks=("layers.0.self_attn.q_proj.bias", "layers.0.pre_feedforward_layernorm.weight"),
    sees=True,
    whole="transformers.models.qwen3_vl.modeling_qwen3_vl:Qwen3VLModel",
    whole_settings="transformers.models.qwen3_vl.configuration_qwen3_vl:Qwen3VLConfig",
    vision=vision,
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
