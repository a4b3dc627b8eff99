"""The transformer of Ovis-Image: FLUX.1's without a pooled text, with gated feed-forwards. No torch but for tensors.

In the original layout (github.com/AIDC-AI/Ovis-Image) it has FLUX.1's names, and keeps the halves of its gated layers apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks import flux_sizes
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "double_blocks.0.img_attn.qkv.weight",
    "double_blocks.0.img_mlp.gate_proj.weight",
    "single_blocks.0.linear1.weight",
    "img_in.weight",
    "time_in.in_layer.weight",
)
DIFFUSERS: Final = (
    "transformer_blocks.0.attn.add_q_proj.weight",
    "single_transformer_blocks.0.proj_mlp.weight",
    "x_embedder.weight",
    "context_embedder.weight",
    "context_embedder_norm.weight",
    "timestep_embedder.linear_1.weight",
)
_TEXT: Final = "semantic_"
"""What stands before the names of the text's layers in the published file; also read without it (inferred)."""


def _has_text(shapes: Shapes) -> bool:
    return (
        any(f"{before}txt_in.weight" in shapes for before in (_TEXT, "")) and "vector_in.in_layer.weight" not in shapes
    )


LAYOUTS: Final = (Layout(name="original", has=ORIGINAL, check=_has_text), Layout(name="diffusers", has=DIFFUSERS))

_ENDS: Final = {
    "timestep_embedder.linear_1": "time_in.in_layer",
    "timestep_embedder.linear_2": "time_in.out_layer",
    "context_embedder_norm": "txt_norm",
}
_HALVES: Final = ("up_proj", "gate_proj")
"""In the order in which the library stacks them."""


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return OvisImageTransformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    original = ORIGINAL[0] in shapes
    shapes = {name.removeprefix(_TEXT): shape for name, shape in shapes.items()}
    width, channels = shapes["img_in.weight" if original else "x_embedder.weight"]
    norm = "double_blocks.0.img_attn.norm.query_norm." if original else "transformer_blocks.0.attn.norm_q."
    head = next(shapes[f"{norm}{kind}"][0] for kind in ("scale", "weight") if f"{norm}{kind}" in shapes)
    axes = hints.get("axes") or [head // 8, head * 7 // 16, head * 7 // 16]  # 16, 56, 56 of 128
    return {
        "in_channels": channels,
        "out_channels": shapes["final_layer.linear.weight" if original else "proj_out.weight"][0],
        "num_layers": count(shapes, "double_blocks." if original else "transformer_blocks."),
        "num_single_layers": count(shapes, "single_blocks." if original else "single_transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes["txt_in.weight" if original else "context_embedder.weight"][1],
        "axes_dims_rope": [int(axis) for axis in axes],
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    found = {}
    for ours, theirs in flux_sizes.paths(config).items():
        if ours.endswith((".ff.net.2", ".ff_context.net.2")):
            found[ours] = f"{theirs.removesuffix('.2')}.down_proj"
        elif not ours.startswith("time_text_embed.") and not ours.endswith(".net.0.proj"):
            found[ours] = theirs
    return found | _ENDS


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the original's stacked projections make which module; the last norm has shift and scale swapped."""
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    found = dict(flux_sizes.fused(config))
    for i in range(int(config["num_single_layers"])):
        block = f"single_transformer_blocks.{i}"
        parts = [*(f"{block}.attn.to_{part}" for part in "qkv"), f"{block}.proj_mlp"]
        found[f"single_blocks.{i}.linear1"] = stacked(parts, [width] * 3 + [8 * width])
    return found


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of OvisImageTransformer2DModel; halves that are kept apart are stacked."""
    if ORIGINAL[0] not in tensors:
        return dict(tensors)
    named = {name.removeprefix(_TEXT): value for name, value in tensors.items()}
    halves = {name: value for name, value in named.items() if name.rpartition(".")[0].endswith(_HALVES)}
    found = unstacked({n: v for n, v in named.items() if n not in halves}, paths(config), fused(config))
    for i in range(int(config["num_layers"])):
        for ours, theirs in (("ff", "img_mlp"), ("ff_context", "txt_mlp")):
            for kind in ("weight", "bias"):
                parts = [halves.get(f"double_blocks.{i}.{theirs}.{half}.{kind}") for half in _HALVES]
                if all(part is not None for part in parts):
                    found[f"transformer_blocks.{i}.{ours}.net.0.proj.{kind}"] = _joined(parts)
    return found


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import torch

    return torch.cat(parts)


OVIS: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_ovis_image:OvisImageTransformer2DModel",
    call="engine.models.networks.diagonal:OvisNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
