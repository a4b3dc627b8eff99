"""PixArt's transformer: its sizes, read off names and shapes, and its names in both layouts. No torch but for tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "x_embedder.proj.weight",
    "t_block.1.weight",
    "y_embedder.y_proj.fc1.weight",
    "blocks.0.scale_shift_table",
    "blocks.0.cross_attn.kv_linear.weight",
    "blocks.0.mlp.fc1.weight",
)
DIFFUSERS: Final = (
    "pos_embed.proj.weight",
    "adaln_single.linear.weight",
    "caption_projection.linear_1.weight",
    "transformer_blocks.0.scale_shift_table",
    "transformer_blocks.0.attn2.to_k.weight",
    "transformer_blocks.0.ff.net.0.proj.weight",
)
_NULL: Final = "y_embedder.y_embedding"
"""The text of nothing that it was trained with, as long as texts may be; of no use here."""
_PLACES: Final = "pos_embed"
_ASPECT: Final = {
    "original": "ar_embedder.mlp.0.weight",
    "diffusers": "adaln_single.emb.aspect_ratio_embedder.linear_1.weight",
}
_ALPHA_TOKENS: Final = 120
"""Of a text of α; of Σ it may have 300."""
_UNKNOWN: Final = (".attn.sr.", ".attn.q_norm.")
"""Of kinds that the library has no blocks for: keys that are made fewer, queries with a norm."""
HEADS: Final = 16
"""In every published size."""

_ENDS: Final = {
    "pos_embed.proj": "x_embedder.proj",
    "caption_projection.linear_1": "y_embedder.y_proj.fc1",
    "caption_projection.linear_2": "y_embedder.y_proj.fc2",
    "adaln_single.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "adaln_single.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "adaln_single.linear": "t_block.1",
    "proj_out": "final_layer.linear",
}
_SIZED: Final = {
    f"adaln_single.emb.{ours}.linear_{layer}": f"{theirs}.mlp.{2 * layer - 2}"
    for ours, theirs in (("resolution_embedder", "csize_embedder"), ("aspect_ratio_embedder", "ar_embedder"))
    for layer in (1, 2)
}
_BLOCK: Final = {
    "attn1.to_out.0": "attn.proj",
    "attn2.to_q": "cross_attn.q_linear",
    "attn2.to_out.0": "cross_attn.proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
}
_TABLE: Final = "scale_shift_table"


def _is_alpha(shapes: Shapes) -> bool:
    """Whether it is told the size of the picture, or its texts are as short as α's."""
    short = _NULL in shapes and shapes[_NULL][0] <= _ALPHA_TOKENS
    return short or any(name in shapes for name in _ASPECT.values())


def _known(shapes: Shapes, wanted: Callable[[Shapes], bool]) -> bool:
    return wanted(shapes) and not any(part in name for name in shapes for part in _UNKNOWN)


def layouts(*, alpha: bool) -> tuple[Layout, ...]:
    """Return the layouts of α, or of Σ."""

    def check(shapes: Shapes) -> bool:
        return _known(shapes, lambda found: _is_alpha(found) is alpha)

    return (
        Layout(name="original", has=ORIGINAL, check=check),
        Layout(name="diffusers", has=DIFFUSERS, check=check),
    )


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return PixArtTransformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    layout = "original" if ORIGINAL[0] in shapes else "diffusers"
    original = layout == "original"
    width, channels, patch, _ = shapes["x_embedder.proj.weight" if original else "pos_embed.proj.weight"]
    heads = int(hints.get("heads") or HEADS)
    side = hints.get("sample_size") or (math.isqrt(shapes[_PLACES][1]) * patch if _PLACES in shapes else 128)
    last = shapes["final_layer.linear.weight" if original else "proj_out.weight"]
    return {
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "in_channels": channels,
        "out_channels": last[0] // patch**2,
        "num_layers": count(shapes, "blocks." if original else "transformer_blocks."),
        "cross_attention_dim": width,
        "sample_size": int(side),
        "patch_size": patch,
        # Places are those of 512 pixels a side, whatever size it was trained for.
        "interpolation_scale": hints.get("interpolation_scale") or int(side) / 64,
        "use_additional_conditions": _ASPECT[layout] in shapes,
        "caption_channels": shapes[
            "y_embedder.y_proj.fc1.weight" if original else "caption_projection.linear_1.weight"
        ][1],
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    found = _ENDS | (_SIZED if config["use_additional_conditions"] else {})
    for i in range(int(config["num_layers"])):
        found |= {f"transformer_blocks.{i}.{ours}": f"blocks.{i}.{theirs}" for ours, theirs in _BLOCK.items()}
    return found


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the original's stacked projections make which module."""
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    found: dict[str, Any] = {}
    for i in range(int(config["num_layers"])):
        block = f"transformer_blocks.{i}"
        found[f"blocks.{i}.attn.qkv"] = stacked([f"{block}.attn1.to_{part}" for part in "qkv"], [width] * 3)
        found[f"blocks.{i}.cross_attn.kv_linear"] = stacked([f"{block}.attn2.to_{part}" for part in "kv"], [width] * 2)
    return found


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names; places are made anew, as sizes may differ."""
    if ORIGINAL[0] not in tensors:
        return {name: value for name, value in tensors.items() if name != "pos_embed.pos_embed"}
    used = {name: value for name, value in tensors.items() if name not in (_PLACES, _NULL)}
    return with_tables(unstacked(used, paths(config), fused(config)), int(config["num_layers"]))


def with_tables(found: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Give the tables of scales and shifts, which are no modules, the library's names."""
    found[_TABLE] = found.pop(f"final_layer.{_TABLE}")
    for i in range(layers):
        found[f"transformer_blocks.{i}.{_TABLE}"] = found.pop(f"blocks.{i}.{_TABLE}")
    return found


PIXART: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.pixart_transformer_2d:PixArtTransformer2DModel",
    call="engine.models.networks.pixart:PixArtNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
