"""Unions of ControlNets of Stable Diffusion XL (ControlNet++; xinsir 2024), in the library's names. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models import detect
from engine.models.families import family_named
from engine.models.networks.unet_sizes import controlnet_config
from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "union of ControlNets"
PATCH: Final = False
MODULE: Final = "diffusers.models.controlnets.controlnet_union:ControlNetUnionModel"
CALL: Final = "engine.models.networks.unet_union:UnionControl"
TASKS: Final = "task_embedding"
_HEADS: Final = 8


def is_there(shapes: Shapes) -> bool:
    """Say whether these are ControlNetUnionModel's tensors."""
    return TASKS in shapes and "controlnet_cond_embedding.conv_in.weight" in shapes


def family(shapes: Shapes) -> str:
    """Return the family whose U-Net it has the sizes of."""
    return detect.family_of_denoiser(shapes).name


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return ControlNetUnionModel's arguments."""
    found = controlnet_config(shapes, hints, family_named(family(shapes)))
    tasks, width = shapes[TASKS]
    del found["mid_block_type"]
    return found | {
        "num_control_type": tasks,
        "num_trans_channel": width,
        "num_trans_layer": count(shapes, "transformer_layes."),
        "num_trans_head": int(hints.get("num_trans_head", _HEADS)),
        "num_proj_channel": shapes["spatial_ch_projs.weight"][0],
    }


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors: they have the names of ControlNetUnionModel."""
    return dict(tensors)
