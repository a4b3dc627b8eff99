"""The transformer of AuraFlow: its sizes, read off names and shapes, and its names in both layouts. No torch but for tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks.stacked import unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "double_layers.0.attn.w2q.weight",
    "single_layers.0.attn.w1q.weight",
    "init_x_linear.weight",
    "cond_seq_linear.weight",
    "positional_encoding",
)
DIFFUSERS: Final = (
    "joint_transformer_blocks.0.attn.add_q_proj.weight",
    "single_transformer_blocks.0.attn.to_q.weight",
    "pos_embed.proj.weight",
    "context_embedder.weight",
    "pos_embed.pos_embed",
    "register_tokens",
)
LAYOUTS: Final = (Layout(name="original", has=ORIGINAL), Layout(name="diffusers", has=DIFFUSERS))
HEAD: Final = 256
"""Width of a head in every published size."""

_ENDS: Final = {
    "pos_embed.proj": "init_x_linear",
    "context_embedder": "cond_seq_linear",
    "time_step_proj.linear_1": "t_embedder.mlp.0",
    "time_step_proj.linear_2": "t_embedder.mlp.2",
    "proj_out": "final_linear",
}
_FORWARD: Final = {"linear_1": "c_fc1", "linear_2": "c_fc2", "out_projection": "c_proj"}
_DOUBLE: Final = (
    {"attn.to_q": "attn.w2q", "attn.to_k": "attn.w2k", "attn.to_v": "attn.w2v", "attn.to_out.0": "attn.w2o"}
    | {"attn.add_q_proj": "attn.w1q", "attn.add_k_proj": "attn.w1k", "attn.add_v_proj": "attn.w1v"}
    | {"attn.to_add_out": "attn.w1o", "norm1.linear": "modX.1", "norm1_context.linear": "modC.1"}
    | {f"ff.{ours}": f"mlpX.{theirs}" for ours, theirs in _FORWARD.items()}
    | {f"ff_context.{ours}": f"mlpC.{theirs}" for ours, theirs in _FORWARD.items()}
)
_SINGLE: Final = (
    {"attn.to_q": "attn.w1q", "attn.to_k": "attn.w1k", "attn.to_v": "attn.w1v", "attn.to_out.0": "attn.w1o"}
    | {"norm1.linear": "modCX.1"}
    | {f"ff.{ours}": f"mlp.{theirs}" for ours, theirs in _FORWARD.items()}
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return AuraFlowTransformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    original = ORIGINAL[0] in shapes
    width, pixels = shapes["init_x_linear.weight" if original else "pos_embed.proj.weight"]
    text = shapes["cond_seq_linear.weight" if original else "context_embedder.weight"]
    heads = int(hints.get("heads") or width // HEAD)
    return {
        "in_channels": pixels // 4,
        "out_channels": shapes["final_linear.weight" if original else "proj_out.weight"][0] // 4,
        "num_mmdit_layers": count(shapes, "double_layers." if original else "joint_transformer_blocks."),
        "num_single_dit_layers": count(shapes, "single_layers." if original else "single_transformer_blocks."),
        "attention_head_dim": width // heads,
        "num_attention_heads": heads,
        "joint_attention_dim": text[1],
        "caption_projection_dim": text[0],
        "pos_embed_max_size": shapes["positional_encoding" if original else "pos_embed.pos_embed"][1],
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    found = dict(_ENDS)
    for ours, theirs, number, names in (
        ("joint_transformer_blocks", "double_layers", config["num_mmdit_layers"], _DOUBLE),
        ("single_transformer_blocks", "single_layers", config["num_single_dit_layers"], _SINGLE),
    ):
        for i in range(int(number)):
            found |= {f"{ours}.{i}.{name}": f"{theirs}.{i}.{other}" for name, other in names.items()}
    return found


def fused(config: Mapping[str, Any]) -> Fused:
    """Return that the last norm has shift and scale swapped; nothing is stacked."""
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    return {"modF.1": {"norm_out.linear": ((width, 2 * width), (0, width))}}


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of AuraFlowTransformer2DModel."""
    if ORIGINAL[0] not in tensors:
        return dict(tensors)
    found = unstacked(tensors, paths(config), fused(config))
    found["pos_embed.pos_embed"] = found.pop("positional_encoding")
    return found


AURAFLOW: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.auraflow_transformer_2d:AuraFlowTransformer2DModel",
    call="engine.models.networks.auraflow:AuraFlowNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
