"""DiT's transformer (Peebles & Xie 2023): its sizes, read off names and shapes, and its names in both layouts. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "x_embedder.proj.weight",
    "t_embedder.mlp.0.weight",
    "y_embedder.embedding_table.weight",
    "blocks.0.attn.qkv.weight",
    "final_layer.linear.weight",
)
DIFFUSERS: Final = (
    "pos_embed.proj.weight",
    "transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight",
    "transformer_blocks.0.attn1.to_q.weight",
    "proj_out_2.weight",
)
_HEADS: Final = {384: 6, 768: 12, 1024: 16, 1152: 16}
"""Of S, B, L and XL, by width (Peebles & Xie 2023, table 1)."""

_SHARED: Final = {
    "norm1.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "norm1.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "norm1.emb.class_embedder.embedding_table": "y_embedder.embedding_table",
}
"""What the original has once, and the library in each block."""

_BLOCK: Final = {
    "norm1.linear": "adaLN_modulation.1",
    "attn1.to_out.0": "attn.proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
}
_ENDS: Final = {
    "pos_embed.proj": "x_embedder.proj",
    "proj_out_1": "final_layer.adaLN_modulation.1",
    "proj_out_2": "final_layer.linear",
}


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return DiTTransformer2DModel's arguments; KeyError for a tensor that is not there."""
    original = ORIGINAL[0] in shapes
    width, channels, patch, _ = shapes["x_embedder.proj.weight" if original else "pos_embed.proj.weight"]
    classes = shapes[ORIGINAL[2] if original else DIFFUSERS[1]][0] - 1  # the last row stands for none
    heads = int(hints.get("dit_heads") or hints.get("num_attention_heads") or _HEADS.get(width) or width // 64)
    side = hints.get("sample_size")
    if side is None:
        side = math.isqrt(shapes["pos_embed"][1]) * patch if "pos_embed" in shapes else 32
    return {
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "in_channels": channels,
        "out_channels": shapes["final_layer.linear.weight" if original else "proj_out_2.weight"][0] // patch**2,
        "num_layers": count(shapes, "blocks." if original else "transformer_blocks."),
        "sample_size": int(side),
        "patch_size": patch,
        "num_embeds_ada_norm": classes,
    }


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names; the table of places is made anew, so that sizes may differ."""
    if DIFFUSERS[0] in tensors:
        return dict(tensors)
    shared = {theirs: ours for ours, theirs in _SHARED.items()}
    found: dict[str, Tensor] = {}
    for name, value in unstacked(tensors, paths(config), fused(config)).items():
        path, _, kind = name.rpartition(".")
        if path in shared:
            found |= {f"transformer_blocks.{i}.{shared[path]}.{kind}": value for i in range(config["num_layers"])}
        elif name != "pos_embed":
            found[name] = value
    return found


def paths(config: Facts) -> dict[str, str]:
    """Return {module path in the library: module path in the original layout}, of those that are one module in both."""
    names = dict(_ENDS)
    for i in range(config["num_layers"]):
        names |= {f"transformer_blocks.{i}.{ours}": f"blocks.{i}.{theirs}" for ours, theirs in _BLOCK.items()}
    return names


def fused(config: Facts) -> Fused:
    """Return {original module: {module of the library: its rows}}: query, key and value stand stacked."""
    width = config["num_attention_heads"] * config["attention_head_dim"]
    return {
        f"blocks.{i}.attn.qkv": stacked([f"transformer_blocks.{i}.attn1.to_{part}" for part in "qkv"], [width] * 3)
        for i in range(config["num_layers"])
    }


LAYOUTS: Final = (Layout(name="original", has=ORIGINAL), Layout(name="diffusers", has=DIFFUSERS))

DIT: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.dit_transformer_2d:DiTTransformer2DModel",
    call="engine.models.networks.dit:DiT",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
