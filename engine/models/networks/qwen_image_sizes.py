"""Qwen-Image's transformer: its sizes, read off names and shapes. Files of every kind have the library's names. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

NAMES: Final = (
    "img_in.weight",
    "txt_in.weight",
    "txt_norm.weight",
    "proj_out.weight",
    "time_text_embed.timestep_embedder.linear_1.weight",
    "transformer_blocks.0.attn.add_q_proj.weight",
    "transformer_blocks.0.img_mod.1.weight",
)
LAYERED: Final = "time_text_embed.addition_t_embedding.weight"
"""Of Qwen-Image-Layered alone: an embedding that tells apart what is to be taken to pieces."""

CLEAN_REFERENCES: Final = "__index_timestep_zero__"
"""An empty tensor by which files of Qwen-Image-Edit 2511 say that references count as free of noise (inferred)."""

LAYOUTS: Final = (Layout(name="diffusers", has=NAMES),)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return QwenImageTransformer2DModel's arguments for tensors without prefix."""
    width, channels = shapes["img_in.weight"]
    head = shapes["transformer_blocks.0.attn.norm_q.weight"][0]
    layered = LAYERED in shapes
    axes = hints.get("axes") or [head // 8, head * 7 // 16, head * 7 // 16]  # 16, 56, 56 of 128
    return {
        "patch_size": family.patch,
        "in_channels": channels,
        "out_channels": shapes["proj_out.weight"][0] // family.patch**2,
        "num_layers": count(shapes, "transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes["txt_in.weight"][1],
        "axes_dims_rope": [int(axis) for axis in axes],
        "zero_cond_t": CLEAN_REFERENCES in shapes or bool(hints.get("zero_cond_t", False)),
        "use_additional_t_cond": layered,
        "use_layer3d_rope": layered,
    }


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors: they have the names of QwenImageTransformer2DModel."""
    return {name: value for name, value in tensors.items() if name != CLEAN_REFERENCES}


QWEN_IMAGE: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_qwenimage:QwenImageTransformer2DModel",
    call="engine.models.networks.qwen_image:QwenImageNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=lambda config: {},
)
