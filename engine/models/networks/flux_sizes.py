"""FLUX.1's transformer: its sizes, read off names and shapes, and its names in both layouts. No torch but for tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.models.families.base import Fused, Layout, NetworkKind, Rows
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "double_blocks.0.img_attn.qkv.weight",
    "single_blocks.0.linear1.weight",
    "img_in.weight",
    "txt_in.weight",
    "vector_in.in_layer.weight",
)
DIFFUSERS: Final = (
    "transformer_blocks.0.attn.add_q_proj.weight",
    "single_transformer_blocks.0.proj_mlp.weight",
    "x_embedder.weight",
    "context_embedder.weight",
    "time_text_embed.text_embedder.linear_1.weight",
)

_ENDS: Final = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in",
    "x_embedder": "img_in",
    "proj_out": "final_layer.linear",
}
_DOUBLE: Final = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
}
_SINGLE: Final = {
    "norm.linear": "modulation.lin",
    "attn.norm_q": "norm.query_norm",
    "attn.norm_k": "norm.key_norm",
    "proj_out": "linear2",
}


class _Names(NamedTuple):
    """Where a layout has what tells sizes."""

    first: str
    text: str
    pooled: str
    last: str
    guidance: str
    norm: str
    double: str
    single: str


_OF_ORIGINAL: Final = _Names(
    first="img_in",
    text="txt_in",
    pooled="vector_in.in_layer",
    last="final_layer.linear",
    guidance="guidance_in.in_layer",
    norm="double_blocks.0.img_attn.norm.query_norm.scale",
    double="double_blocks.",
    single="single_blocks.",
)
_OF_DIFFUSERS: Final = _Names(
    first="x_embedder",
    text="context_embedder",
    pooled="time_text_embed.text_embedder.linear_1",
    last="proj_out",
    guidance="time_text_embed.guidance_embedder.linear_1",
    norm="transformer_blocks.0.attn.norm_q.weight",
    double="transformer_blocks.",
    single="single_transformer_blocks.",
)


def names_of(shapes: Shapes) -> _Names:
    """Return where the layout of these tensors has what tells sizes."""
    return _OF_ORIGINAL if ORIGINAL[0] in shapes else _OF_DIFFUSERS


def axes_of(head: int, hints: Facts) -> list[int]:
    """Return how many of a head's numbers turn with each number of a place: 16, 56 and 56 of 128 where nothing is told."""
    return [int(axis) for axis in hints.get("axes") or (head // 8, head * 7 // 16, head * 7 // 16)]


MASK: Final = 64
"""Channels of the mask beside a picture to fill: the 8 × 8 pixels of each latent pixel."""


def _known(shapes: Shapes) -> bool:
    """Whether the network takes a latent alone, a picture beside it (edges, depths), or a picture and a mask (filling)."""
    names = names_of(shapes)
    last = shapes.get(f"{names.last}.weight", (0,))[0]
    return shapes[f"{names.first}.weight"][1] in (last, 2 * last, 2 * last + 4 * MASK)


LAYOUTS: Final = (
    Layout(name="original", has=ORIGINAL, check=_known),
    Layout(name="diffusers", has=DIFFUSERS, check=_known),
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return FluxTransformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    names = names_of(shapes)
    width, channels = shapes[f"{names.first}.weight"]
    head = shapes[names.norm][0]
    return {
        "in_channels": channels,
        "out_channels": shapes[f"{names.last}.weight"][0],
        "num_layers": count(shapes, names.double),
        "num_single_layers": count(shapes, names.single),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes[f"{names.text}.weight"][1],
        "pooled_projection_dim": shapes[f"{names.pooled}.weight"][1],
        "guidance_embeds": f"{names.guidance}.weight" in shapes,
        "axes_dims_rope": axes_of(head, hints),
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    found = dict(_ENDS)
    for i in range(int(config["num_layers"])):
        found |= {f"transformer_blocks.{i}.{ours}": f"double_blocks.{i}.{theirs}" for ours, theirs in _DOUBLE.items()}
    for i in range(int(config["num_single_layers"])):
        found |= {
            f"single_transformer_blocks.{i}.{ours}": f"single_blocks.{i}.{theirs}" for ours, theirs in _SINGLE.items()
        }
    return found


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the original's stacked projections make which module; the last norm has shift and scale swapped."""
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    found: dict[str, dict[str, Rows]] = {
        "final_layer.adaLN_modulation.1": {"norm_out.linear": ((width, 2 * width), (0, width))}
    }
    for i in range(int(config["num_layers"])):
        block, attention = f"double_blocks.{i}", f"transformer_blocks.{i}.attn"
        found[f"{block}.img_attn.qkv"] = stacked([f"{attention}.to_{part}" for part in "qkv"], [width] * 3)
        found[f"{block}.txt_attn.qkv"] = stacked([f"{attention}.add_{part}_proj" for part in "qkv"], [width] * 3)
    for i in range(int(config["num_single_layers"])):
        block = f"single_transformer_blocks.{i}"
        parts = [*(f"{block}.attn.to_{part}" for part in "qkv"), f"{block}.proj_mlp"]
        found[f"single_blocks.{i}.linear1"] = stacked(parts, [width] * 3 + [4 * width])
    return found


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of FluxTransformer2DModel."""
    return unstacked(tensors, paths(config), fused(config)) if ORIGINAL[0] in tensors else dict(tensors)


FLUX: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_flux:FluxTransformer2DModel",
    call="engine.models.networks.flux:FluxNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
    grows={"x_embedder.weight": "in_channels"},
)
