"""The U-Net of DDPM (Ho et al. 2020), under no conditioning: its sizes, read off names and shapes. No torch.

Files have the library's names; those of 2022, such as Google's, name the parts of attention in an older way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.networks.unet_sizes import DIFFUSERS, context_dim
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

_TOLD: Final[Mapping[str, Any]] = {
    "center_input_sample": False,
    "freq_shift": 1,
    "flip_sin_to_cos": False,
    "downsample_padding": 0,
    "mid_block_scale_factor": 1,
    "attention_head_dim": None,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-6,
    "act_fn": "silu",
    "resnet_time_scale_shift": "default",
}
"""What tensors do not tell: from a folder's config, else as Ho et al. 2020 have it."""

_OLD: Final = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return UNet2DModel's arguments; KeyError for a tensor that is not there."""
    downs = [f"down_blocks.{i}." for i in range(count(shapes, "down_blocks."))]
    ups = [f"up_blocks.{i}." for i in range(count(shapes, "up_blocks."))]
    told = {name: hints.get(name, usual) for name, usual in _TOLD.items()}
    told |= {"norm_num_groups": hints.get("norm_groups", 32), "act_fn": hints.get("act", "silu")}
    return told | {
        "in_channels": shapes["conv_in.weight"][1],
        "out_channels": shapes["conv_out.weight"][0],
        "block_out_channels": [shapes[f"{block}resnets.0.conv1.weight"][0] for block in downs],
        "layers_per_block": count(shapes, f"{downs[0]}resnets."),
        "down_block_types": [_type(shapes, block, "Down") for block in downs],
        "up_block_types": [_type(shapes, block, "Up") for block in ups],
        "add_attention": bool(count(shapes, "mid_block.attentions.")),
    }


def _type(shapes: Shapes, block: str, direction: str) -> str:
    return f"Attn{direction}Block2D" if count(shapes, f"{block}attentions.") else f"{direction}Block2D"


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names of today."""
    return {_today(name): value for name, value in tensors.items()}


def _today(name: str) -> str:
    return re.sub(r"(attentions\.\d+)\.(query|key|value|proj_attn)\.", lambda m: f"{m[1]}.{_OLD[m[2]]}.", name)


def _alone(shapes: Shapes) -> bool:
    """Whether nothing enters but a picture and a time."""
    return context_dim(shapes) == 0 and shapes["conv_in.weight"][1] == shapes["conv_out.weight"][0]


LAYOUTS: Final = (
    Layout(
        name="diffusers",
        has=(*DIFFUSERS, "mid_block.resnets.0.conv1.weight"),
        lacks=("class_embedding.weight", "class_embedding.linear_1.weight", "add_embedding.norm1.weight"),
        check=_alone,
    ),
)

PIXEL_U_NET: Final = NetworkKind(
    title="U-Net",
    module="diffusers.models.unets.unet_2d:UNet2DModel",
    call="engine.models.networks.pixel_unet:PixelUNet",
    sizes=sizes,
    renamed=renamed,
    paths=lambda config: {},
)
