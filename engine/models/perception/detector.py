"""Detectors of the 80 kinds of things of COCO: RT-DETR (Zhao et al. 2023), its 2nd form, D-FINE (Peng et al. 2024), RT-DETRv4.

Files in the naming of transformers come with their config.json; those of D-FINE, DEIM and RT-DETRv4 as these projects write
them are told by their tensors. What no tensor tells: the last two have SiLU where D-FINE has ReLU. SiLU is taken, unless the
file's name has "dfine" or its metadata says `"act"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.renaming import apart, substituted
from engine.models.shapes import count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes

TITLE = "a detector (RT-DETR or D-FINE)"
LOADER = "UNETLoader"
USE = "RTDETR_detect"
CALL = "engine.models.networks.detecting:Detector"
READS = False
MODEL_TYPES = ("rt_detr", "rt_detr_v2", "d_fine")

_ORIGINAL = ("decoder.dec_bbox_head.0.layers.0.weight", "encoder.input_proj.0.conv.weight", "decoder.up")
_TRANSFORMERS = ("model.enc_score_head.weight", "model.enc_bbox_head.layers.0.weight")
_HEADS = 8
"""Heads of attention in every detector of these that is about."""

_NAMES = [
    (r"^backbone\.stem\.", "model.backbone.model.embedder."),
    (r"^backbone\.stages\.", "model.backbone.model.encoder.stages."),
    (r"(^model\.backbone\..*)\.conv\.", r"\1.convolution."),
    (r"(^model\.backbone\..*)\.bn\.", r"\1.normalization."),
    (r"^encoder\.input_proj\.(\d+)\.conv\.", r"model.encoder_input_proj.\1.0."),
    (r"^encoder\.input_proj\.(\d+)\.norm\.", r"model.encoder_input_proj.\1.1."),
    (r"^encoder\.encoder\.", "model.encoder.aifi."),
    (r"^encoder\.", "model.encoder."),
    (r"\.cv([14])\.", r".conv\1."),
    (r"(_blocks\.\d+)\.cv2\.0\.", r"\1.csp_rep1."),
    (r"(_blocks\.\d+)\.cv3\.0\.", r"\1.csp_rep2."),
    (r"(_blocks\.\d+)\.cv([23])\.1\.", r"\1.conv\2."),
    (r"(downsample_convs\.\d+)\.0\.cv([12])\.", r"\1.conv\2."),
    (r"(downsample_convs\.\d+)\.0\.conv1\.", r"\1.conv1."),
    (r"^decoder\.input_proj\.(\d+)\.conv\.", r"model.decoder_input_proj.\1.0."),
    (r"^decoder\.input_proj\.(\d+)\.norm\.", r"model.decoder_input_proj.\1.1."),
    (r"^decoder\.enc_output\.proj\.", "model.enc_output.0."),
    (r"^decoder\.enc_output\.norm\.", "model.enc_output.1."),
    (r"^decoder\.(enc_\w+_head)\.", r"model.\1."),
    (r"^decoder\.decoder\.", "model.decoder."),
    (r"^decoder\.dec_score_head\.", "class_embed."),
    (r"^decoder\.dec_bbox_head\.", "bbox_embed."),
    (r"^decoder\.(up|reg_scale|query_pos_head|pre_bbox_head)", r"model.decoder.\1"),
    (r"\.cross_attn\.", ".encoder_attn."),
    (r"(layers\.\d+)\.norm1\.", r"\1.self_attn_layer_norm."),
    (r"(layers\.\d+)\.norm[23]\.", r"\1.final_layer_norm."),
    (r"(layers\.\d+)\.linear1\.", r"\1.mlp.layers.0."),
    (r"(layers\.\d+)\.linear2\.", r"\1.mlp.layers.1."),
    (r"\.out_proj\.", ".o_proj."),
]
"""From the names of D-FINE and its like to those of transformers."""


def is_there(shapes: Shapes) -> bool:
    """Say whether tensors are a detector in either naming."""
    return any(all(name in shapes for name in names) for names in (_ORIGINAL, _TRANSFORMERS))


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return what the library's config class takes, and `model_type`; KeyError for a tensor that is not there."""
    if "model_type" in hints:
        return {name: value for name, value in hints.items() if name not in ("file", "torch_dtype", "dtype")}
    if _ORIGINAL[0] not in shapes:
        raise KeyError("in the original naming, or the config.json beside the file that says its sizes")
    width, kinds = shapes["decoder.enc_score_head.weight"][1], shapes["decoder.enc_score_head.weight"][0]
    inputs = [
        shapes[f"encoder.input_proj.{level}.conv.weight"][1] for level in range(count(shapes, "encoder.input_proj."))
    ]
    inner = shapes["encoder.fpn_blocks.0.cv4.conv.weight"][0]
    wide = shapes["encoder.encoder.0.layers.0.linear1.weight"]
    heads, levels = int(hints.get("heads", _HEADS)), len(inputs)
    attended = shapes["decoder.decoder.layers.0.cross_attn.attention_weights.weight"][0] // heads
    narrow = shapes["encoder.fpn_blocks.0.cv2.1.conv.weight"][0]
    return {
        "model_type": "d_fine",
        "backbone_config": _backbone(shapes, levels),
        "encoder_hidden_dim": wide[1],
        "encoder_in_channels": inputs,
        "encoder_ffn_dim": wide[0],
        "encoder_layers": count(shapes, "encoder.encoder.0.layers."),
        "encoder_attention_heads": heads,
        "feat_strides": [32 >> (levels - 1 - level) for level in range(levels)],
        "encode_proj_layers": [levels - 1],
        "hidden_expansion": 2 * (narrow + 0.25) / wide[1],  # of which the library takes the whole part of a half
        "depth_mult": count(shapes, "encoder.fpn_blocks.0.cv2.0.bottlenecks.") / 3,
        "d_model": width,
        "decoder_in_channels": [inner] * levels,
        "num_feature_levels": levels,
        "decoder_ffn_dim": shapes["decoder.decoder.layers.0.linear1.weight"][0],
        "decoder_n_points": [3, 6, 3] if (levels, attended) == (3, 12) else [attended // levels] * levels,
        "decoder_layers": count(shapes, "decoder.dec_score_head."),
        "decoder_attention_heads": heads,
        "decoder_activation_function": str(
            hints.get("act", "relu" if "dfine" in hints.get("file", "").lower() else "silu")
        ),
        "max_num_bins": shapes["decoder.dec_bbox_head.0.layers.2.weight"][0] // 4 - 1,
        "num_labels": kinds,
        "num_queries": int(hints.get("num_queries", 300)),
        "num_denoising": 0,
    }


def _backbone(shapes: Shapes, levels: int) -> dict[str, Any]:
    """HGNetV2's arguments: what each stage has, read off its first block."""
    stages = [f"backbone.stages.{stage}." for stage in range(count(shapes, "backbone.stages."))]
    light = [f"{stage}blocks.0.layers.0.conv2.conv.weight" in shapes for stage in stages]
    first = [
        shapes[f"{stage}blocks.0.layers.0.{'conv2.' if thin else ''}conv.weight"]
        for stage, thin in zip(stages, light, strict=True)
    ]
    falls = [f"{stage}downsample.conv.weight" in shapes for stage in stages]
    outs = [shapes[f"{stage}blocks.0.aggregation.1.conv.weight"][0] for stage in stages]
    stem = [shapes[f"backbone.stem.{name}.conv.weight"] for name in ("stem1", "stem4")]
    return {
        "model_type": "hgnet_v2",
        "stem_channels": [stem[0][1], stem[0][0], stem[1][0]],
        "stage_in_channels": [stem[1][0], *outs[:-1]],
        "stage_mid_channels": [shape[0] for shape in first],
        "stage_out_channels": outs,
        "stage_num_blocks": [count(shapes, f"{stage}blocks.") for stage in stages],
        "stage_downsample": falls,
        "stage_light_block": light,
        "stage_kernel_size": [shape[-1] for shape in first],
        "stage_numb_of_layers": [count(shapes, f"{stage}blocks.0.layers.") for stage in stages],
        "use_learnable_affine_block": "backbone.stem.stem1.lab.scale" in shapes,
        "hidden_sizes": outs,
        "depths": [1] * len(stages),
        "out_indices": list(range(len(stages) + 1 - levels, len(stages) + 1)),
    }


def build(config: Facts) -> nn.Module:
    """Return the library's detector."""
    from transformers import CONFIG_MAPPING, AutoModelForObjectDetection

    from engine.models.networks.settled import settled

    told = {name: value for name, value in config.items() if name not in ("model_type", "architectures")}
    if isinstance(told.get("backbone_config"), Mapping):
        backbone = dict(told["backbone_config"])
        told["backbone_config"] = CONFIG_MAPPING[backbone.pop("model_type")](**backbone)
    library: Any = AutoModelForObjectDetection
    module = library.from_config(CONFIG_MAPPING[config["model_type"]](**told))
    if config["model_type"] == "d_fine" and config.get("decoder_activation_function") == "silu":
        _with_silu(module)
    return settled(module, ["num_points_scale"])


def _with_silu(module: Any) -> None:
    """Give every network of a few layers SiLU between them; the library lets the decoder's own alone have it."""
    from torch import nn
    from transformers.models.d_fine.modeling_d_fine import DFineMLP

    width = module.config.d_model
    module.model.enc_bbox_head = DFineMLP(width, width, 4, 3)
    module.model.decoder.query_pos_head = DFineMLP(4, 2 * width, width, 2)
    for root in (module.model.decoder, module.model.enc_bbox_head, module.bbox_embed):
        for part in root.modules():
            if isinstance(part, DFineMLP):
                part.act = nn.SiLU()


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names. A file has what the library ties once."""
    names = _NAMES if _ORIGINAL[0] in tensors else _OLDER[str(config["model_type"])]
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        place = substituted(name, names)
        found |= apart(place, value) if ".in_proj_" in place else {place: value}
    for name in list(found):
        if re.match(r"(model\.decoder\.)?(class|bbox)_embed\.", name):
            short = name.removeprefix("model.decoder.")
            for other in (short, f"model.decoder.{short}"):
                found.setdefault(other, found[name])
    return found


_OLDER = {
    "d_fine": [
        (r"\.out_proj\.", ".o_proj."),
        (r"layers\.(\d+)\.fc1\.", r"layers.\1.mlp.layers.0."),
        (r"layers\.(\d+)\.fc2\.", r"layers.\1.mlp.layers.1."),
        (r"encoder\.encoder\.(\d+)\.layers", r"encoder.aifi.\1.layers"),
    ],
    "rt_detr": [
        (r"\.out_proj\.", ".o_proj."),
        (r"layers\.(\d+)\.fc([12])\.", r"layers.\1.mlp.fc\2."),
        (r"encoder\.encoder\.(\d+)\.layers", r"encoder.aifi.\1.layers"),
    ],
}
"""From the names that earlier versions of the library wrote to its present ones."""
_OLDER["rt_detr_v2"] = _OLDER["rt_detr"]
