"""ControlNets of Stable Diffusion 3 and 3.5: of two streams (InstantX, alimama) or of the picture's alone (Stability AI).

The latter have the names of github.com/Stability-AI/sd3.5, or the library's. No torch but for tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Rows
from engine.models.networks.sd3_sizes import HEAD
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "ControlNet of Stable Diffusion 3"
PATCH: Final = False
MODULE: Final = "engine.models.networks.sd3_control:sd3_control_net"
CALL: Final = "engine.models.networks.sd3_control:SD3Control"

_PICTURE: Final = "pos_embed_input.proj.weight"
_TEXT: Final = "context_embedder.weight"
_PLACES: Final = "pos_embed.pos_embed"
TYPE: Final = "control_type"
"""A number in files of Stability AI: 0 blurred pictures, 1 edges, 2 depths."""

_STACKED: Final = "transformer_blocks.0.attn.qkv.weight"
_PARTS: Final = {
    "attn.to_out.0": "attn.proj",
    "norm1.linear": "adaLN_modulation.1",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
}


def is_there(shapes: Shapes) -> bool:
    """Say whether these are SD3ControlNetModel's tensors, or those of Stability AI's network."""
    return _PICTURE in shapes and "time_text_embed.text_embedder.linear_1.weight" in shapes


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `sd3_control_net`.

    Tensors do not tell whether the pooled text is left out; the networks of two streams were trained so.
    """
    width, seen, patch, _ = shapes[_PICTURE]
    head = int(hints.get("head_dim") or HEAD)
    layers, text = count(shapes, "transformer_blocks."), shapes.get(_TEXT)
    own = shapes.get("pos_embed.proj.weight")
    blank = hints.get("force_zeros_for_pooled_projection")
    channels = own[1] if own else 16
    return {
        "patch_size": patch,
        "in_channels": channels,
        "num_layers": layers,
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": text[1] if text else None,
        "caption_projection_dim": text[0] if text else width,
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "pos_embed_max_size": math.isqrt(shapes[_PLACES][1]) if own else 96,
        "extra_conditioning_channels": seen - channels,
        "dual_attention_layers": [i for i in range(layers) if f"transformer_blocks.{i}.attn2.to_q.weight" in shapes],
        "qk_norm": "rms_norm" if "transformer_blocks.0.attn.norm_q.weight" in shapes else None,
        "use_pos_embed": own is not None,
        "force_zeros_for_pooled_projection": text is not None if blank is None else bool(blank),
        "typed": TYPE in shapes,
    }


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under SD3ControlNetModel's names."""
    if _STACKED not in tensors:
        return dict(tensors)
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    modules: dict[str, str] = {}
    rows: dict[str, dict[str, Rows]] = {}
    for i in range(int(config["num_layers"])):
        block = f"transformer_blocks.{i}"
        modules |= {f"{block}.{ours}": f"{block}.{theirs}" for ours, theirs in _PARTS.items()}
        rows[f"{block}.attn.qkv"] = stacked([f"{block}.attn.to_{part}" for part in "qkv"], [width] * 3)
    return unstacked(tensors, modules, rows)
