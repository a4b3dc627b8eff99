"""ControlNets of Qwen-Image (InstantX): a union that tells its tasks apart by the picture, and one for inpainting. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "ControlNet of Qwen-Image"
PATCH: Final = False
MODULE: Final = "diffusers.models.controlnets.controlnet_qwenimage:QwenImageControlNetModel"
CALL: Final = "engine.models.networks.qwen_image_control:QwenImageControl"
_PICTURE: Final = "controlnet_x_embedder.weight"


def is_there(shapes: Shapes) -> bool:
    """Say whether these are QwenImageControlNetModel's tensors."""
    return _PICTURE in shapes and "img_in.weight" in shapes and "txt_norm.weight" in shapes


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return QwenImageControlNetModel's arguments."""
    width, channels = shapes["img_in.weight"]
    head = shapes["transformer_blocks.0.attn.norm_q.weight"][0]
    axes = hints.get("axes") or [head // 8, head * 7 // 16, head * 7 // 16]  # 16, 56, 56 of 128
    return {
        "in_channels": channels,
        "num_layers": count(shapes, "transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes["txt_in.weight"][1],
        "axes_dims_rope": [int(axis) for axis in axes],
        "extra_condition_channels": shapes[_PICTURE][1] - channels,
    }


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors: they have the names of QwenImageControlNetModel."""
    return dict(tensors)
