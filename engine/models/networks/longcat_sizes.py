"""The transformer of LongCat-Image: FLUX.1's without a pooled text and without a guidance. No torch but for tensors.

In the original layout it has FLUX.1's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.networks import flux_sizes
from engine.models.networks.flux_sizes import fused
from engine.models.networks.stacked import unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "double_blocks.0.img_attn.qkv.weight",
    "double_blocks.0.img_mlp.0.weight",
    "single_blocks.0.linear1.weight",
    "img_in.weight",
    "txt_in.weight",
    "time_in.in_layer.weight",
)
DIFFUSERS: Final = (
    "transformer_blocks.0.attn.add_q_proj.weight",
    "single_transformer_blocks.0.proj_mlp.weight",
    "x_embedder.weight",
    "context_embedder.weight",
    "time_embed.timestep_embedder.linear_1.weight",
)
_TIME: Final = {
    "time_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_embed.timestep_embedder.linear_2": "time_in.out_layer",
}


def _blocks_alike(shapes: Shapes) -> bool:
    """Whether each block has a modulation of its own, as FLUX.1's have; FLUX.2's share theirs."""
    return "single_blocks.0.modulation.lin.weight" in shapes


LAYOUTS: Final = (
    Layout(
        name="original",
        has=ORIGINAL,
        lacks=(
            "vector_in.in_layer.weight",  # FLUX.1
            "guidance_in.in_layer.weight",
            "distilled_guidance_layer.in_proj.weight",  # Chroma
        ),
        check=_blocks_alike,
    ),
    Layout(name="diffusers", has=DIFFUSERS),
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return LongCatImageTransformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    original = ORIGINAL[0] in shapes
    width, channels = shapes["img_in.weight" if original else "x_embedder.weight"]
    norm = "double_blocks.0.img_attn.norm.query_norm." if original else "transformer_blocks.0.attn.norm_q."
    head = next(shapes[f"{norm}{kind}"][0] for kind in ("scale", "weight") if f"{norm}{kind}" in shapes)
    axes = hints.get("axes") or [head // 8, head * 7 // 16, head * 7 // 16]  # 16, 56, 56 of 128
    return {
        "in_channels": channels,
        "num_layers": count(shapes, "double_blocks." if original else "transformer_blocks."),
        "num_single_layers": count(shapes, "single_blocks." if original else "single_transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes["txt_in.weight" if original else "context_embedder.weight"][1],
        "axes_dims_rope": [int(axis) for axis in axes],
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    found = flux_sizes.paths(config)
    return {ours: theirs for ours, theirs in found.items() if not ours.startswith("time_text_embed.")} | _TIME


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of LongCatImageTransformer2DModel."""
    return unstacked(tensors, paths(config), fused(config)) if ORIGINAL[0] in tensors else dict(tensors)


LONGCAT: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_longcat_image:LongCatImageTransformer2DModel",
    call="engine.models.networks.diagonal:LongCatNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
