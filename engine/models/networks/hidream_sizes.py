"""The transformer of HiDream-I1 and E1: its sizes, read off names and shapes. Everybody names its tensors alike. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

NAMES: Final = (
    "double_stream_blocks.0.block.attn1.to_q_t.weight",
    "single_stream_blocks.0.block.attn1.to_q.weight",
    "x_embedder.proj.weight",
    "p_embedder.pooled_embedder.linear_1.weight",
    "caption_projection.0.linear.weight",
)
LAYOUTS: Final = (Layout(name="original", has=NAMES),)
HEAD: Final = 128
"""Width of a head in the published size."""

DEPTH: Final = 32
"""Layers of Llama 3.1 8B. Blocks see one each; those that are left, the last one."""

_ACTIVE: Final = 2
"""How many experts a token goes to."""


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return HiDreamImageTransformer2DModel's arguments for tensors without prefix."""
    width, pixels = shapes["x_embedder.proj.weight"]
    double, single = count(shapes, "double_stream_blocks."), count(shapes, "single_stream_blocks.")
    heads = int(hints.get("heads") or width // HEAD)
    head = width // heads
    last = shapes[f"caption_projection.{double + single}.linear.weight"]
    return {
        "patch_size": 2,
        "in_channels": pixels // 4,
        "out_channels": shapes["final_layer.linear.weight"][0] // 4,
        "num_layers": double,
        "num_single_layers": single,
        "attention_head_dim": head,
        "num_attention_heads": heads,
        "caption_channels": [last[1], shapes["caption_projection.0.linear.weight"][1]],
        "text_emb_dim": shapes["p_embedder.pooled_embedder.linear_1.weight"][1],
        "num_routed_experts": count(shapes, "double_stream_blocks.0.block.ff_i.experts."),
        "num_activated_experts": _ACTIVE,
        "axes_dims_rope": [int(axis) for axis in hints.get("axes") or [head // 2, head // 4, head // 4]],  # of 128
        "llama_layers": [min(block, DEPTH - 1) for block in range(double + single)],
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {}: every layout has the library's names."""
    return {}


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors as they are."""
    return dict(tensors)


HIDREAM: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_hidream_image:HiDreamImageTransformer2DModel",
    call="engine.models.networks.hidream:HiDreamNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
)
