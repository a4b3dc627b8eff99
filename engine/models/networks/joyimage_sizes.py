"""JoyImage Edit's transformer: its sizes, off names and shapes. Files and the library name its tensors alike. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

LAYOUTS: Final = (
    Layout(
        name="diffusers",
        has=(
            "double_blocks.0.attn.img_attn_qkv.weight",
            "double_blocks.0.attn.txt_attn_qkv.weight",
            "double_blocks.0.img_mod.modulate_table",
            "condition_embedder.text_embedder.linear_1.weight",
            "img_in.weight",
        ),
    ),
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return JoyImageEditPlusTransformer3DModel's arguments for its tensors, without prefix."""
    width, channels, *patch = shapes["img_in.weight"]
    head = shapes["double_blocks.0.attn.img_attn_q_norm.weight"][0]
    axes = hints.get("axes") or hints.get("rope_dim_list") or [head // 8, head * 7 // 16, head * 7 // 16]  # 16, 56, 56
    return {
        "patch_size": list(patch),
        "in_channels": channels,
        "hidden_size": width,
        "num_attention_heads": width // head,
        "text_dim": shapes["condition_embedder.text_embedder.linear_1.weight"][1],
        "mlp_width_ratio": shapes["double_blocks.0.img_mlp.net.0.proj.weight"][0] / width,
        "num_layers": count(shapes, "double_blocks."),
        "rope_dim_list": [int(axis) for axis in axes],
        "theta": int(hints.get("theta") or 256),
    }


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors, which have the library's names."""
    return dict(tensors)


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {}: no module has another path in files."""
    return {}


JOYIMAGE: Final = NetworkKind(
    title="transformer",
    # Of its two classes with the same tensors this one takes references of any sizes.
    module="diffusers.models.transformers.transformer_joyimage_edit_plus:JoyImageEditPlusTransformer3DModel",
    call="engine.models.networks.joyimage:JoyImageNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
)
