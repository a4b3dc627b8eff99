"""Ideogram 4's transformer: its sizes, off names and shapes, and its names in both layouts. No torch but for tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

_BOTH: Final = ("llm_cond_proj.weight", "embed_image_indicator.weight", "input_proj.weight", "adaln_proj.weight")
# The library's LoRA converter names these two of the original; that the rest is called alike there is inferred.
ORIGINAL: Final = ("layers.0.attention.qkv.weight", "layers.0.attention.o.weight", *_BOTH)
DIFFUSERS: Final = ("layers.0.attention.to_q.weight", "layers.0.attention.to_out.0.weight", *_BOTH)
LAYOUTS: Final = (Layout(name="original", has=ORIGINAL), Layout(name="diffusers", has=DIFFUSERS))


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return Ideogram4Transformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    width, channels = shapes["input_proj.weight"]
    head = shapes["layers.0.attention.norm_q.weight"][0]
    return {
        "in_channels": channels,
        "num_layers": count(shapes, "layers."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "intermediate_size": shapes["layers.0.feed_forward.w1.weight"][0],
        "adaln_dim": shapes["adaln_proj.weight"][0],
        "llm_features_dim": shapes["llm_cond_proj.weight"][1],
        "mrope_section": [int(part) for part in hints.get("axes") or hints.get("mrope_section") or (24, 20, 20)],
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what has two names."""
    return {f"layers.{i}.attention.to_out.0": f"layers.{i}.attention.o" for i in range(int(config["num_layers"]))}


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the original's stacked projections make which module."""
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    blocks = [f"layers.{i}.attention" for i in range(int(config["num_layers"]))]
    return {f"{block}.qkv": stacked([f"{block}.to_{part}" for part in "qkv"], [width] * 3) for block in blocks}


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of Ideogram4Transformer2DModel."""
    return unstacked(tensors, paths(config), fused(config)) if ORIGINAL[0] in tensors else dict(tensors)


IDEOGRAM4: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_ideogram4:Ideogram4Transformer2DModel",
    call="engine.models.networks.ideogram4:Ideogram4Network",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
