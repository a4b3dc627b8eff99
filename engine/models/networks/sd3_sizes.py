"""The transformer of Stable Diffusion 3 (Esser et al. 2024): its sizes, off names and shapes, and its names in both layouts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind, Rows
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "joint_blocks.0.x_block.attn.qkv.weight",
    "joint_blocks.0.context_block.attn.qkv.weight",
    "x_embedder.proj.weight",
    "y_embedder.mlp.0.weight",
    "pos_embed",
)
DIFFUSERS: Final = (
    "transformer_blocks.0.attn.add_q_proj.weight",
    "pos_embed.proj.weight",
    "pos_embed.pos_embed",
    "time_text_embed.text_embedder.linear_1.weight",
)
LAYOUTS: Final = (Layout(name="original", has=ORIGINAL), Layout(name="diffusers", has=DIFFUSERS))
HEAD: Final = 64
"""Width of a head in every published size."""

_ENDS: Final = {
    "pos_embed.proj": "x_embedder.proj",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "context_embedder": "context_embedder",
    "proj_out": "final_layer.linear",
}
_PICTURE: Final = {
    "attn.to_out.0": "x_block.attn.proj",
    "attn.norm_q": "x_block.attn.ln_q",
    "attn.norm_k": "x_block.attn.ln_k",
    "attn2.to_out.0": "x_block.attn2.proj",
    "attn2.norm_q": "x_block.attn2.ln_q",
    "attn2.norm_k": "x_block.attn2.ln_k",
    "norm1.linear": "x_block.adaLN_modulation.1",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "attn.norm_added_q": "context_block.attn.ln_q",
    "attn.norm_added_k": "context_block.attn.ln_k",
}
_TEXT: Final = {
    "attn.to_add_out": "context_block.attn.proj",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
}
"""What the last block lacks, whose text goes nowhere."""


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return SD3Transformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    original = ORIGINAL[0] in shapes
    blocks = "joint_blocks." if original else "transformer_blocks."
    layers = count(shapes, blocks)
    width, channels, patch, _ = shapes["x_embedder.proj.weight" if original else "pos_embed.proj.weight"]
    head = int(hints.get("head_dim") or hints.get("attention_head_dim") or HEAD)
    second = "x_block.attn2.qkv.weight" if original else "attn2.to_q.weight"
    norm = "x_block.attn.ln_q.weight" if original else "attn.norm_q.weight"
    last = shapes["final_layer.linear.weight" if original else "proj_out.weight"]
    return {
        "in_channels": channels,
        "out_channels": last[0] // patch**2,
        "patch_size": patch,
        "num_layers": layers,
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes["context_embedder.weight"][1],
        "caption_projection_dim": shapes["context_embedder.weight"][0],
        "pooled_projection_dim": shapes[
            f"{'y_embedder.mlp.0' if original else DIFFUSERS[3].removesuffix('.weight')}.weight"
        ][1],
        "pos_embed_max_size": math.isqrt(shapes["pos_embed" if original else "pos_embed.pos_embed"][1]),
        "dual_attention_layers": [i for i in range(layers) if f"{blocks}{i}.{second}" in shapes],
        "qk_norm": "rms_norm" if f"{blocks}0.{norm}" in shapes else None,
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    found, layers = dict(_ENDS), int(config["num_layers"])
    for i in range(layers):
        parts = _PICTURE if i == layers - 1 else _PICTURE | _TEXT
        found |= {f"transformer_blocks.{i}.{ours}": f"joint_blocks.{i}.{theirs}" for ours, theirs in parts.items()}
    return found


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the original's stacked projections make which module; two norms have shift and scale swapped."""
    width, layers = int(config["num_attention_heads"]) * int(config["attention_head_dim"]), int(config["num_layers"])
    swapped: Rows = ((width, 2 * width), (0, width))
    found: dict[str, dict[str, Rows]] = {
        "final_layer.adaLN_modulation.1": {"norm_out.linear": swapped},
        f"joint_blocks.{layers - 1}.context_block.adaLN_modulation.1": {
            f"transformer_blocks.{layers - 1}.norm1_context.linear": swapped
        },
    }
    for i in range(layers):
        theirs, ours = f"joint_blocks.{i}", f"transformer_blocks.{i}"
        found[f"{theirs}.x_block.attn.qkv"] = stacked([f"{ours}.attn.to_{part}" for part in "qkv"], [width] * 3)
        found[f"{theirs}.context_block.attn.qkv"] = stacked(
            [f"{ours}.attn.add_{part}_proj" for part in "qkv"], [width] * 3
        )
        if i in config["dual_attention_layers"]:
            found[f"{theirs}.x_block.attn2.qkv"] = stacked([f"{ours}.attn2.to_{part}" for part in "qkv"], [width] * 3)
    return found


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of SD3Transformer2DModel."""
    if ORIGINAL[0] not in tensors:
        return dict(tensors)
    found = unstacked(tensors, paths(config), fused(config))
    found["pos_embed.pos_embed"] = found.pop("pos_embed")
    return found


MMDIT: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_sd3:SD3Transformer2DModel",
    call="engine.models.networks.sd3:SD3Network",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
