"""ControlNets of FLUX.1: the library's names, and those of XLabs' files. No torch but for tensors.

Of the first kind are those of one task, the unions of several, and alimama's for inpainting, which is given a mask too; they
take the picture as a latent. XLabs' take its pixels, and their few layers are repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.networks.flux_sizes import axes_of, fused, names_of, paths
from engine.models.networks.stacked import unstacked
from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "ControlNet of FLUX.1"
PATCH: Final = False
MODULE: Final = "engine.models.networks.flux_control:flux_control_net"
CALL: Final = "engine.models.networks.flux_control:FluxControl"

_PICTURE, _PICTURE_OF_XLABS = "controlnet_x_embedder.weight", "pos_embed_input.weight"
_HINT: Final = "input_hint_block"
_CONVOLUTIONS: Final = 8


def is_there(shapes: Shapes) -> bool:
    """Say whether these are FluxControlNetModel's tensors."""
    ours = (
        _PICTURE in shapes and "transformer_blocks.0.attn.add_q_proj.weight" in shapes and "x_embedder.weight" in shapes
    )
    return ours or (_PICTURE_OF_XLABS in shapes and "double_blocks.0.img_attn.qkv.weight" in shapes)


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `flux_control_net`."""
    names = names_of(shapes)
    width, channels = shapes[f"{names.first}.weight"]
    head = shapes[names.norm][0]
    hinted = any(name.startswith(f"{_HINT}.") for name in shapes)
    seen = shapes[_PICTURE if _PICTURE in shapes else _PICTURE_OF_XLABS][1]
    mode = shapes.get("controlnet_mode_embedder.weight")
    return {
        "in_channels": channels,
        "num_layers": count(shapes, names.double),
        "num_single_layers": count(shapes, names.single),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes[f"{names.text}.weight"][1],
        "pooled_projection_dim": shapes[f"{names.pooled}.weight"][1],
        "guidance_embeds": f"{names.guidance}.weight" in shapes,
        "axes_dims_rope": axes_of(head, hints),
        "num_mode": mode[0] if mode else None,
        **({"patch_size": 2, "conditioning_embedding_channels": 16} if hinted else {}),
        "extra_channels": 0 if hinted else seen - channels,
    }


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under FluxControlNetModel's names."""
    if _PICTURE_OF_XLABS not in tensors:
        return dict(tensors)
    modules = {name: theirs for name, theirs in paths(config).items() if name != "proj_out"}
    modules["controlnet_x_embedder"] = "pos_embed_input"
    modules[f"{_HINT}.conv_in"] = f"{_HINT}.0"
    modules[f"{_HINT}.conv_out"] = f"{_HINT}.{2 * (_CONVOLUTIONS - 1)}"
    modules |= {f"{_HINT}.blocks.{i}": f"{_HINT}.{2 * (i + 1)}" for i in range(_CONVOLUTIONS - 2)}
    return unstacked(tensors, modules, fused(config))
