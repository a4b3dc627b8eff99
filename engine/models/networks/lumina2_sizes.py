"""The transformer of Lumina-Image 2: its sizes, read off names and shapes, and its names in both layouts.

Names are written out here because diffusers' converter has the sizes of the published model in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks.omnigen2_sizes import REFERENCES
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "layers.0.attention.qkv.weight",
    "layers.0.adaLN_modulation.1.weight",
    "noise_refiner.0.attention.qkv.weight",
    "x_embedder.weight",
    "cap_embedder.1.weight",
)
DIFFUSERS: Final = (
    "layers.0.attn.to_q.weight",
    "layers.0.norm1.linear.weight",
    "noise_refiner.0.attn.to_q.weight",
    "x_embedder.weight",
    "time_caption_embed.caption_embedder.1.weight",
)
LAYOUTS: Final = (
    # Networks built on this one have a pooled text (NewBie-Image), learned padding (Z-Image) or pictures to go by (OmniGen2):
    # they are others' families.
    Layout(name="original", has=ORIGINAL, lacks=("clip_text_pooled_proj.0.weight", "cap_pad_token")),
    Layout(name="diffusers", has=DIFFUSERS, lacks=(REFERENCES,)),
)

_ENDS: Final = {
    "time_caption_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_caption_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_caption_embed.caption_embedder.0": "cap_embedder.0",
    "time_caption_embed.caption_embedder.1": "cap_embedder.1",
    "norm_out.linear_1": "final_layer.adaLN_modulation.1",
    "norm_out.linear_2": "final_layer.linear",
}
_BLOCK: Final = {
    "attn.to_out.0": "attention.out",
    "attn.norm_q": "attention.q_norm",
    "attn.norm_k": "attention.k_norm",
    "norm2": "attention_norm2",
    "feed_forward.linear_1": "feed_forward.w1",
    "feed_forward.linear_2": "feed_forward.w2",
    "feed_forward.linear_3": "feed_forward.w3",
}
_TIMED: Final = {"norm1.linear": "adaLN_modulation.1", "norm1.norm": "attention_norm1"}
_UNTIMED: Final = {"norm1": "attention_norm1"}
"""Of blocks that see text alone, and no time."""
_UNUSED: Final = "norm_final.weight"
"""In published files, of no use to the network."""

_REACH: Final = (4096, 1024, 1024)
"""How many places are worked out along text, rows and columns. No weight has this size; published: 300, 512, 512."""


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return Lumina2Transformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    original = ORIGINAL[0] in shapes
    width, pixels = shapes["x_embedder.weight"]
    head = shapes[f"layers.0.{'attention.q_norm' if original else 'attn.norm_q'}.weight"][0]
    inner = shapes[f"layers.0.feed_forward.{'w1' if original else 'linear_1'}.weight"][0]
    if original:
        keys = (shapes["layers.0.attention.qkv.weight"][0] - width) // 2
    else:
        keys = shapes["layers.0.attn.to_k.weight"][0]
    last = shapes[f"{'final_layer.linear' if original else 'norm_out.linear_2'}.weight"]
    caption = f"{'cap_embedder' if original else 'time_caption_embed.caption_embedder'}.1.weight"
    usual = -(-4 * width // 256) * 256
    return {
        "in_channels": pixels // 4,
        "out_channels": last[0] // 4,
        "hidden_size": width,
        "num_layers": count(shapes, "layers."),
        "num_refiner_layers": count(shapes, "noise_refiner."),
        "num_attention_heads": width // head,
        "num_kv_heads": keys // head,
        "multiple_of": 256 if inner == usual else inner,
        "ffn_dim_multiplier": None if inner == usual else inner / (4 * width),
        "axes_dim_rope": [int(axis) for axis in hints.get("axes") or [head // 3] * 3],  # 32 three times of 96
        "axes_lens": list(_REACH),
        "cap_feat_dim": shapes[caption][1],
    }


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    found = dict(_ENDS)
    for block, names in _blocks(config).items():
        found |= {f"{block}.{ours}": f"{block}.{theirs}" for ours, theirs in names.items()}
    return found


def _blocks(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The paths of all blocks, with the names of what they have."""
    layers, refiners = int(config["num_layers"]), int(config["num_refiner_layers"])
    timed = [*(f"layers.{i}" for i in range(layers)), *(f"noise_refiner.{i}" for i in range(refiners))]
    found = dict.fromkeys(timed, _BLOCK | _TIMED)
    return found | dict.fromkeys((f"context_refiner.{i}" for i in range(refiners)), _BLOCK | _UNTIMED)


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the original's stacked projections make which module."""
    width = int(config["hidden_size"])
    keys = width // int(config["num_attention_heads"]) * int(config["num_kv_heads"])
    return {
        f"{block}.attention.qkv": stacked([f"{block}.attn.to_{part}" for part in "qkv"], [width, keys, keys])
        for block in _blocks(config)
    }


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of Lumina2Transformer2DModel."""
    used = {name: value for name, value in tensors.items() if name != _UNUSED}
    return unstacked(used, paths(config), fused(config)) if ORIGINAL[0] in used else used


LUMINA2: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_lumina2:Lumina2Transformer2DModel",
    call="engine.models.networks.lumina2:Lumina2Network",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
