"""HunyuanDiT's transformer: its sizes, read off names and shapes, and its names in both layouts. No torch but for tensors."""

from __future__ import annotations

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
    "mlp_t5.0.weight",
    "pooler.positional_embedding",
    "text_embedding_padding",
    "blocks.0.attn1.Wqkv.weight",
)
DIFFUSERS: Final = (
    "pos_embed.proj.weight",
    "text_embedder.linear_1.weight",
    "time_extra_emb.pooler.positional_embedding",
    "text_embedding_padding",
    "blocks.0.attn1.to_q.weight",
)
LAYOUTS: Final = (Layout(name="original", has=ORIGINAL), Layout(name="diffusers", has=DIFFUSERS))
HEADS: Final = 16
"""In every published size."""

_STYLES: Final = "style_embedder.weight"
_TIME: Final = "time_extra_emb."
_ENDS: Final = (
    {"pos_embed.proj": "x_embedder.proj", "proj_out": "final_layer.linear"}
    | {f"text_embedder.linear_{layer}": f"mlp_t5.{2 * layer - 2}" for layer in (1, 2)}
    | {f"{_TIME}extra_embedder.linear_{layer}": f"extra_embedder.{2 * layer - 2}" for layer in (1, 2)}
    | {f"{_TIME}timestep_embedder.linear_{layer}": f"t_embedder.mlp.{2 * layer - 2}" for layer in (1, 2)}
    | {f"{_TIME}pooler.{part}_proj": f"pooler.{part}_proj" for part in "kqvc"}
)
_BLOCK: Final = (
    {"norm1.norm": "norm1", "norm1.linear": "default_modulation.1", "norm2": "norm3", "norm3": "norm2"}
    | {"ff.net.0.proj": "mlp.fc1", "ff.net.2": "mlp.fc2", "attn2.to_q": "attn2.q_proj"}
    | {
        f"{attention}.{ours}": f"{attention}.{theirs}"
        for attention in ("attn1", "attn2")
        for ours, theirs in (("to_out.0", "out_proj"), ("norm_q", "q_norm"), ("norm_k", "k_norm"))
    }
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return HunyuanDiT2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    original = ORIGINAL[0] in shapes
    width, channels, patch, _ = shapes[ORIGINAL[0] if original else DIFFUSERS[0]]
    heads = int(hints.get("heads") or HEADS)
    pooler = "pooler." if original else f"{_TIME}pooler."
    rows, text = shapes["text_embedding_padding"]
    t5_rows = shapes[f"{pooler}positional_embedding"][0] - 1
    inner = shapes["blocks.0.mlp.fc1.weight" if original else "blocks.0.ff.net.0.proj.weight"][0]
    last = shapes["final_layer.linear.weight" if original else "proj_out.weight"][0] // patch**2
    return {
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "in_channels": channels,
        "patch_size": patch,
        "hidden_size": width,
        "num_layers": count(shapes, "blocks."),
        "mlp_ratio": (inner + 0.5) / width,  # of which the library takes the whole part
        "learn_sigma": last == 2 * channels,
        "cross_attention_dim": text,
        "cross_attention_dim_t5": shapes[ORIGINAL[1] if original else DIFFUSERS[1]][1],
        "pooled_projection_dim": shapes[f"{pooler}c_proj.weight"][0],
        "text_len": rows - t5_rows,
        "text_len_t5": t5_rows,
        "use_style_cond_and_image_meta_size": (_STYLES if original else f"{_TIME}{_STYLES}") in shapes,
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    found = dict(_ENDS)
    if config["use_style_cond_and_image_meta_size"]:
        found[f"{_TIME}style_embedder"] = "style_embedder"
    for i in range(int(config["num_layers"])):
        found |= {f"blocks.{i}.{ours}": f"blocks.{i}.{theirs}" for ours, theirs in _BLOCK.items()}
    return found


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of stacked projections make which module; the last norm has shift and scale swapped."""
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    found: dict[str, Any] = {"final_layer.adaLN_modulation.1": {"norm_out.linear": ((width, 2 * width), (0, width))}}
    for i in range(int(config["num_layers"])):
        block = f"blocks.{i}"
        found[f"{block}.attn1.Wqkv"] = stacked([f"{block}.attn1.to_{part}" for part in "qkv"], [width] * 3)
        found[f"{block}.attn2.kv_proj"] = stacked([f"{block}.attn2.to_{part}" for part in "kv"], [width] * 2)
    return found


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of HunyuanDiT2DModel; of styles the first alone is of use."""
    if ORIGINAL[0] not in tensors:
        return dict(tensors)
    found = unstacked(tensors, paths(config), fused(config))
    found[f"{_TIME}pooler.positional_embedding"] = found.pop("pooler.positional_embedding")
    if (styles := f"{_TIME}{_STYLES}") in found:
        found[styles] = found[styles][:1]
    return found


HUNYUAN_DIT: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.hunyuan_transformer_2d:HunyuanDiT2DModel",
    call="engine.models.networks.hunyuan_dit:HunyuanDiTNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
