"""Sana's transformer: its sizes, read off names and shapes, and its names in both layouts. No torch but for tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.networks.pixart_sizes import fused, with_tables
from engine.models.networks.stacked import unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "x_embedder.proj.weight",
    "t_block.1.weight",
    "attention_y_norm.weight",
    "blocks.0.cross_attn.kv_linear.weight",
    "blocks.0.mlp.inverted_conv.conv.weight",
)
DIFFUSERS: Final = (
    "patch_embed.proj.weight",
    "time_embed.linear.weight",
    "caption_norm.weight",
    "transformer_blocks.0.attn2.to_k.weight",
    "transformer_blocks.0.ff.conv_inverted.weight",
)
LAYOUTS: Final = (
    # Sana Sprint is told its guidance, and was distilled to another process of noise.
    Layout(name="original", has=ORIGINAL, lacks=("cfg_embedder.mlp.0.weight",)),
    Layout(name="diffusers", has=DIFFUSERS, lacks=("time_embed.guidance_embedder.linear_1.weight",)),
)
HEAD: Final = 32
"""Width of a head of attention to the picture, in every published size."""

_PLACES: Final = "pos_embed"
_LARGE: Final = 4096
"""Places of networks for 2048 pixels a side: smaller ones are not told places."""
_UNUSED: Final = (_PLACES, "y_embedder.y_embedding", "logvar_linear.weight", "logvar_linear.bias")
_TEXT_HEADS: Final = {1152: 16, 2240: 20}
"""Heads of attention to the text, by width."""

_ENDS: Final = {
    "patch_embed.proj": "x_embedder.proj",
    "caption_projection.linear_1": "y_embedder.y_proj.fc1",
    "caption_projection.linear_2": "y_embedder.y_proj.fc2",
    "caption_norm": "attention_y_norm",
    "time_embed.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_embed.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_embed.linear": "t_block.1",
    "proj_out": "final_layer.linear",
}
_BLOCK: Final = {
    "attn1.to_out.0": "attn.proj",
    "attn2.to_q": "cross_attn.q_linear",
    "attn2.to_out.0": "cross_attn.proj",
    "ff.conv_inverted": "mlp.inverted_conv.conv",
    "ff.conv_depth": "mlp.depth_conv.conv",
    "ff.conv_point": "mlp.point_conv.conv",
}
_NORMS: Final = {
    f"{ours}.norm_{part}": f"{theirs}.{part}_norm"
    for ours, theirs in (("attn1", "attn"), ("attn2", "cross_attn"))
    for part in "qk"
}


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return SanaTransformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    original = ORIGINAL[0] in shapes
    width, channels, patch, _ = shapes[ORIGINAL[0] if original else DIFFUSERS[0]]
    heads = int(hints.get("num_cross_attention_heads") or _TEXT_HEADS.get(width) or max(1, width // 112))
    head = int(hints.get("attention_head_dim") or HEAD)
    places = shapes[_PLACES][1] if _PLACES in shapes else 0
    side = int(hints.get("sample_size") or math.isqrt(places) * patch or 32)
    block = "blocks.0.attn.q_norm.weight" if original else "transformer_blocks.0.attn1.norm_q.weight"
    text = shapes["y_embedder.y_proj.fc1.weight" if original else "caption_projection.linear_1.weight"]
    return {
        "in_channels": channels,
        "out_channels": shapes["final_layer.linear.weight" if original else "proj_out.weight"][0] // patch**2,
        "num_attention_heads": width // head,
        "attention_head_dim": head,
        "num_layers": count(shapes, "blocks." if original else "transformer_blocks."),
        "num_cross_attention_heads": heads,
        "cross_attention_head_dim": width // heads,
        "cross_attention_dim": width,
        "caption_channels": text[1],
        "mlp_ratio": shapes[ORIGINAL[4] if original else DIFFUSERS[4]][0] / (2 * width),
        "sample_size": side,
        "patch_size": patch,
        # Places are those of 2048 pixels a side, whatever size above it was trained for.
        "interpolation_scale": hints.get("interpolation_scale") or (side / 64 if places >= _LARGE else None),
        "qk_norm": "rms_norm_across_heads" if block in shapes else None,
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    found, names = dict(_ENDS), _BLOCK | (_NORMS if config["qk_norm"] else {})
    for i in range(int(config["num_layers"])):
        found |= {f"transformer_blocks.{i}.{ours}": f"blocks.{i}.{theirs}" for ours, theirs in names.items()}
    return found


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names; places are made anew, as sizes may differ."""
    if ORIGINAL[0] not in tensors:
        return dict(tensors)
    used = {name: value for name, value in tensors.items() if name not in _UNUSED}
    return with_tables(unstacked(used, paths(config), fused(config)), int(config["num_layers"]))


SANA: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.sana_transformer:SanaTransformer2DModel",
    call="engine.models.networks.sana:SanaNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
