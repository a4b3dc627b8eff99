"""Qwen-Image 2.1's transformer: its sizes, off names and shapes, and its names in both layouts. No torch but for tensors.

The files of the field have the two halves of a gated layer stacked; otherwise all have the library's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

_COMMON: Final = (
    "txt_in.text_norm.weight",
    "modulation.1.weight",
    "img_in.weight",
    "transformer_blocks.0.attn.to_q.weight",
)
_STACKED: Final = "transformer_blocks.0.img_mlp.gate_up.weight"
_APART: Final = "transformer_blocks.0.img_mlp.gate_layer.weight"

LAYOUTS: Final = (
    Layout(name="original", has=(*_COMMON, _STACKED)),
    Layout(name="diffusers", has=(*_COMMON, _APART)),
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return QwenImage21Transformer2DModel's arguments for tensors without prefix."""
    width, channels = shapes["img_in.weight"]
    head = shapes["transformer_blocks.0.attn.norm_q.weight"][0]
    inner = shapes[_STACKED][0] // 2 if _STACKED in shapes else shapes[_APART][0]
    axes = hints.get("axes") or [head // 8, head * 7 // 16, head * 7 // 16]  # 16, 56, 56 of 128
    return {
        "patch_size": 1,
        "in_channels": channels,
        "out_channels": shapes["proj_out.weight"][0],
        "num_layers": count(shapes, "transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "context_in_dim": shapes["txt_in.in_layer.weight"][1],
        "mlp_ratio": inner // width,
        "axes_dims_rope": [int(axis) for axis in axes],
    }


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the stacked halves make which module: the gate first."""
    inner = int(config["num_attention_heads"]) * int(config["attention_head_dim"]) * int(config["mlp_ratio"])
    blocks = [f"transformer_blocks.{i}.img_mlp" for i in range(int(config["num_layers"]))]
    return {f"{block}.gate_up": stacked([f"{block}.gate_layer", f"{block}.proj"], [inner] * 2) for block in blocks}


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of QwenImage21Transformer2DModel."""
    return unstacked(tensors, {}, fused(config))


QWEN_IMAGE21: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_qwenimage21:QwenImage21Transformer2DModel",
    call="engine.models.networks.qwen_image21:QwenImage21Network",
    sizes=sizes,
    renamed=renamed,
    paths=lambda config: {},
    fused=fused,
)
