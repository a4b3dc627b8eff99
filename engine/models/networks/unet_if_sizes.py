"""The U-Nets of DeepFloyd IF: their sizes, read off names and shapes, and off the config that comes with them. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.networks.unet_sizes import DIFFUSERS
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from engine.models.families.base import Family

TEXT: Final = "encoder_hid_proj.weight"

_TOLD: Final = (
    *("act_fn", "addition_embed_type_num_heads", "attention_head_dim", "center_input_sample", "cross_attention_norm"),
    *("down_block_types", "downsample_padding", "flip_sin_to_cos", "freq_shift", "mid_block_only_cross_attention"),
    *("mid_block_scale_factor", "mid_block_type", "norm_eps", "norm_num_groups", "only_cross_attention"),
    *("resnet_out_scale_factor", "resnet_skip_time_act", "resnet_time_scale_shift", "time_embedding_act_fn"),
    *("timestep_post_act", "up_block_types", "upcast_attention"),
)
"""What tensors do not tell: only the config in a folder of the library does."""

_LEAST: Final = ("act_fn", "attention_head_dim", "down_block_types", "resnet_time_scale_shift", "up_block_types")
"""What a config must tell for the network to be known."""


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return UNet2DConditionModel's arguments; ValueError without a config, KeyError for a tensor that is not there."""
    if missing := [name for name in _LEAST if hints.get(name) is None]:
        raise ValueError(
            f"DeepFloyd IF is read from a folder of diffusers, whose config.json tells {', '.join(missing)}"
        )
    blocks = range(count(shapes, "down_blocks."))
    told = {name: hints[name] for name in _TOLD if hints.get(name) is not None}
    if "class_embedding.linear_1.weight" in shapes:  # the level of the noise on the small picture
        told["class_embed_type"] = "timestep"
    return told | {
        "in_channels": shapes["conv_in.weight"][1],
        "out_channels": shapes["conv_out.weight"][0],
        "block_out_channels": [shapes[f"down_blocks.{i}.resnets.0.conv1.weight"][0] for i in blocks],
        "layers_per_block": _one([count(shapes, f"down_blocks.{i}.resnets.") for i in blocks]),
        "cross_attention_dim": shapes[TEXT][0],
        "encoder_hid_dim": shapes[TEXT][1],
        "encoder_hid_dim_type": "text_proj",
        "addition_embed_type": "text",
    }


def _one(layers: list[int]) -> int | list[int]:
    return layers[0] if len(set(layers)) == 1 else layers


LAYOUTS: Final = (Layout(name="diffusers", has=(*DIFFUSERS, TEXT, "add_embedding.pool.k_proj.weight")),)

IF_U_NET: Final = NetworkKind(
    title="U-Net",
    module="diffusers.models.unets.unet_2d_condition:UNet2DConditionModel",
    call="engine.models.networks.unet_if:IFUNet",
    sizes=sizes,
    renamed=lambda tensors, config: dict(tensors),
    paths=lambda config: {},
)
