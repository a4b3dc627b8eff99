"""Chroma's transformer, FLUX.1's without its modulations: its sizes, off names and shapes, and its names in both layouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks import flux_sizes
from engine.models.networks.stacked import unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

_LAYER: Final = "distilled_guidance_layer."
"""The small network that works out the modulations of all blocks at once."""
ORIGINAL: Final = (
    f"{_LAYER}in_proj.weight",
    "double_blocks.0.img_attn.qkv.weight",
    "single_blocks.0.linear1.weight",
    "img_in.weight",
    "txt_in.weight",
)
DIFFUSERS: Final = (
    f"{_LAYER}in_proj.weight",
    "transformer_blocks.0.attn.add_q_proj.weight",
    "single_transformer_blocks.0.proj_mlp.weight",
    "x_embedder.weight",
    "context_embedder.weight",
)
LAYOUTS: Final = (Layout(name="original", has=ORIGINAL), Layout(name="diffusers", has=DIFFUSERS))
_ENDS: Final = ("context_embedder", "x_embedder", "proj_out")


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return ChromaTransformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    names = flux_sizes.names_of(shapes)
    width, channels = shapes[f"{names.first}.weight"]
    hidden, inputs = shapes[f"{_LAYER}in_proj.weight"]
    head = shapes[names.norm][0]
    return {
        "in_channels": channels,
        "out_channels": shapes[f"{names.last}.weight"][0],
        "num_layers": count(shapes, names.double),
        "num_single_layers": count(shapes, names.single),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes[f"{names.text}.weight"][1],
        "axes_dims_rope": flux_sizes.axes_of(head, hints),
        "approximator_num_channels": inputs,
        "approximator_hidden_dim": hidden,
        "approximator_layers": count(shapes, f"{_LAYER}layers."),
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    found = {
        ours: theirs
        for ours, theirs in flux_sizes.paths(config).items()
        if ours in _ENDS or ("blocks." in ours and not ours.endswith(".linear"))
    }
    found |= {f"{_LAYER}{name}": f"{_LAYER}{name}" for name in ("in_proj", "out_proj")}
    for i in range(int(config["approximator_layers"])):
        layer = f"{_LAYER}layers.{i}."
        found |= {
            f"{layer}linear_1": f"{layer}in_layer",
            f"{layer}linear_2": f"{layer}out_layer",
            f"{_LAYER}norms.{i}": f"{_LAYER}norms.{i}",
        }
    return found


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the original's stacked projections make which module."""
    return {path: parts for path, parts in flux_sizes.fused(config).items() if not path.startswith("final_layer")}


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of ChromaTransformer2DModel."""
    return unstacked(tensors, paths(config), fused(config)) if ORIGINAL[1] in tensors else dict(tensors)


CHROMA: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_chroma:ChromaTransformer2DModel",
    call="engine.models.networks.chroma:ChromaNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
