"""Names of SAM 3's tensors (Carion et al. 2025), as its authors write them, into those of transformers. No torch.

SAM 3.1 has three necks on one backbone, of which the detector's and the one for clicks are taken, and a tracker of several things
at once, of which the decoder of clicks alone is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engine.models.renaming import apart, substituted

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.shapes import Shapes

TRUNK: Final = "backbone.vision_backbone.trunk."
CLICKS: Final = "tracker.model.interactive_sam_mask_decoder."
"""What SAM 3.1 has and SAM 3 has not."""

_LAYER = [
    (r"\.self_attn\.out_proj\.", ".self_attn.o_proj."),
    (r"\.cross_attn_image\.", ".cross_attn."),
    (r"\.cross_attn\.out_proj\.", ".cross_attn.o_proj."),
    (r"\.norm([123])\.", r".layer_norm\1."),
    (r"\.linear([12])\.", r".mlp.fc\1."),
]
_STEPS = [(rf"\.layers\.{number}\.", f".layer{number + 1}.") for number in range(3)]
_NECK = [
    (r"\.dconv_2x2_1\.", ".scale_layers.2."),
    (r"\.dconv_2x2(_0)?\.", ".scale_layers.0."),
    (r"\.conv_1x1\.", ".proj1."),
    (r"\.conv_3x3\.", ".proj2."),
]
_DETECTOR: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        TRUNK,
        "vision_encoder.backbone.",
        [
            (r"\.pos_embed$", ".embeddings.position_embeddings"),
            (r"\.patch_embed\.proj\.", ".embeddings.patch_embeddings.projection."),
            (r"\.ln_pre\.", ".layer_norm."),
            (r"\.blocks\.", ".layers."),
            (r"\.norm([12])\.", r".layer_norm\1."),
            (r"\.attn\.proj\.", ".attention.o_proj."),
            (r"\.attn\.qkv\.", ".attention.in_proj_"),
        ],
    ),
    ("backbone.vision_backbone.convs.", "vision_encoder.neck.fpn_layers.", _NECK),
    ("transformer.encoder.", "detr_encoder.", _LAYER),
    (
        "transformer.decoder.",
        "detr_decoder.",
        [
            (r"(layers\.\d+)\.ca_text\.out_proj", r"\1.text_cross_attn.o_proj"),
            (r"(layers\.\d+)\.ca_text\.", r"\1.text_cross_attn."),
            (r"(layers\.\d+)\.catext_norm\.", r"\1.text_cross_attn_layer_norm."),
            (r"(layers\.\d+)\.cross_attn\.out_proj", r"\1.vision_cross_attn.o_proj"),
            (r"(layers\.\d+)\.cross_attn\.", r"\1.vision_cross_attn."),
            (r"(layers\.\d+)\.self_attn\.out_proj", r"\1.self_attn.o_proj"),
            (r"(layers\.\d+)\.norm1\.", r"\1.vision_cross_attn_layer_norm."),
            (r"(layers\.\d+)\.norm2\.", r"\1.self_attn_layer_norm."),
            (r"(layers\.\d+)\.norm3\.", r"\1.mlp_layer_norm."),
            (r"(layers\.\d+)\.linear([12])\.", r"\1.mlp.fc\2."),
            (r"^detr_decoder\.norm\.", "detr_decoder.output_layer_norm."),
            (r"\.presence_token_out_norm\.", ".presence_layer_norm."),
            (r"\.(bbox_embed)\.", ".box_head."),
            (r"\.boxRPB_embed_([xy])\.", r".box_rpb_embed_\1."),
            (r"\.presence_token_head\.", ".presence_head."),
            (r"\.(box_head|box_rpb_embed_[xy]|presence_head|ref_point_head)\.layers\.0\.", r".\1.layer1."),
            (r"\.(box_head|box_rpb_embed_[xy]|presence_head|ref_point_head)\.layers\.1\.", r".\1.layer2."),
            (r"\.(box_head|presence_head)\.layers\.2\.", r".\1.layer3."),
        ],
    ),
    (
        "dot_prod_scoring.",
        "dot_product_scoring.",
        [
            (r"\.prompt_mlp\.out_norm\.", ".text_mlp_out_norm."),
            (r"\.prompt_mlp\.", ".text_mlp."),
            (r"\.prompt_proj\.", ".text_proj."),
            (r"\.hs_proj\.", ".query_proj."),
            *_STEPS,
        ],
    ),
    (
        "segmentation_head.",
        "mask_decoder.",
        [
            (r"\.mask_predictor\.mask_embed\.", ".mask_embedder."),
            (r"\.cross_attend_prompt\.out_proj", ".prompt_cross_attn.o_proj"),
            (r"\.cross_attend_prompt\.", ".prompt_cross_attn."),
            (r"\.cross_attn_norm\.", ".prompt_cross_attn_norm."),
            (r"\.instance_seg_head\.", ".instance_projection."),
            (r"\.semantic_seg_head\.", ".semantic_projection."),
        ],
    ),
]
_TEXT = [
    (r"^backbone\.language_backbone\.resizer\.", "text_projection."),
    (r"^backbone\.language_backbone\.encoder\.", "text_model."),
    (r"^text_model\.token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^text_model\.positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^text_model\.ln_final\.", "text_model.final_layer_norm."),
    (r"\.transformer\.resblocks\.", ".encoder.layers."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"\.attn\.", ".self_attn."),
]
_TRACKER = [
    (r"^sam_prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
    (r"^sam_prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
    (r"^sam_prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
    (r"^sam_prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
    (r"^sam_prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
    (r"^sam_prompt_encoder\.", "prompt_encoder."),
    (r"^sam_mask_decoder\.", "mask_decoder."),
    (r"^mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
    (r"^mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
    (r"^mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
    (r"^(mask_decoder\.transformer\..*mlp)\.(lin1|layers\.0)\.", r"\1.proj_in."),
    (r"^(mask_decoder\.transformer\..*mlp)\.(lin2|layers\.1)\.", r"\1.proj_out."),
    (r"(hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head|obj_ptr_proj)\.layers\.0\.", r"\1.proj_in."),
    (r"(hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head|obj_ptr_proj)\.layers\.1\.", r"\1.layers.0."),
    (r"(hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head|obj_ptr_proj)\.layers\.2\.", r"\1.proj_out."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.norm([1234])\.", r".layer_norm\1."),
    (r"^transformer\.encoder\.norm\.", "memory_attention.layer_norm."),
    (r"^transformer\.encoder\.", "memory_attention."),
    (r"^maskmem_backbone\.mask_downsampler\.encoder\.12\.", "memory_encoder.mask_downsampler.final_conv."),
    (r"^maskmem_backbone\.mask_downsampler\.encoder\.(\d+)\.", r"memory_encoder.mask_downsampler.step\1."),
    (r"^maskmem_backbone\.pix_feat_proj\.", "memory_encoder.feature_projection."),
    (r"^maskmem_backbone\.out_proj\.", "memory_encoder.projection."),
    (r"^maskmem_backbone\.fuser\.layers\.(\d+)\.gamma$", r"memory_encoder.memory_fuser.layers.\1.scale"),
    (r"^maskmem_backbone\.fuser\.layers\.(\d+)\.dwconv\.", r"memory_encoder.memory_fuser.layers.\1.depthwise_conv."),
    (r"^maskmem_backbone\.fuser\.layers\.(\d+)\.norm\.", r"memory_encoder.memory_fuser.layers.\1.layer_norm."),
    (
        r"^maskmem_backbone\.fuser\.layers\.(\d+)\.pwconv([12])\.",
        r"memory_encoder.memory_fuser.layers.\1.pointwise_conv\2.",
    ),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^no_obj_ptr$", "no_object_pointer"),
    (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
    (r"^obj_ptr_proj\.", "object_pointer_proj."),
    (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
    (r"(_attn|attn_token_to_image|attn_image_to_token|cross_attn_image)\.out_proj\.", r"\1.o_proj."),
]
_STEP = re.compile(r"\.step(\d+)\.")


def is_original(shapes: Shapes) -> bool:
    """Say whether tensors have the names that SAM 3's authors gave them."""
    return f"detector.{TRUNK}pos_embed" in shapes


def seen(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by transformers' names: `detector_model.`, `tracker_neck.` and `tracker_model.`."""
    multiplex = any(name.startswith(CLICKS) for name in tensors)
    found: dict[str, Any] = {}
    points: dict[int, Any] = {}
    for name, value in tensors.items():
        if name.startswith("detector."):
            found |= _detector(name.removeprefix("detector."), value, multiplex=multiplex)
        elif place := _of_tracker(name, multiplex=multiplex):
            if number := re.fullmatch(r"sam_prompt_encoder\.point_embeddings\.(\d+)\.weight", place):
                points[int(number[1])] = value
            else:
                found |= _tracker(place, value)
    if points:
        found["tracker_model.prompt_encoder.point_embed.weight"] = _joined(
            [points[number] for number in sorted(points)]
        )
    return found


def text(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the reader of texts by transformers' names: `text_model.` and `text_projection.`."""
    found: dict[str, Any] = {}
    for name, value in tensors.items():
        place = substituted(name.removeprefix("detector."), _TEXT)
        found |= apart(place, value) if ".in_proj_" in place else {place: value}
    return found


def _detector(name: str, value: Tensor, *, multiplex: bool) -> dict[str, Any]:
    clicks = f"backbone.vision_backbone.{'interactive' if multiplex else 'sam2'}_convs."
    if name.startswith(clicks):
        return {substituted(f"tracker_neck.fpn_layers.{name[len(clicks) :]}", _NECK): value}
    for prefix, place, patterns in _DETECTOR:
        if name.startswith(prefix):
            found = substituted(place + name[len(prefix) :], patterns)
            if found.endswith("position_embeddings") and math.isqrt(value.shape[1]) ** 2 != value.shape[1]:
                value = value[:, 1:]  # the first stands for the picture as a whole, which the network has not
            parts = apart(found, value) if ".in_proj_" in found else {found: value}
            return {f"detector_model.{part}": one for part, one in parts.items()}
    return {}


def _of_tracker(name: str, *, multiplex: bool) -> str:
    """What a tensor of the tracker is called in SAM 3; "" for one of no use."""
    if not multiplex:
        return name.removeprefix("tracker.") if name.startswith("tracker.") else ""
    for part in ("sam_mask_decoder.", "sam_prompt_encoder."):
        if name.startswith(f"tracker.model.interactive_{part}"):
            return name.removeprefix("tracker.model.interactive_")
    return "no_mem_embed" if name == "tracker.model.interactivity_no_mem_embed" else ""


def _tracker(name: str, value: Tensor) -> dict[str, Any]:
    if name == "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix":
        places = ("shared_image_embedding", "prompt_encoder.shared_embedding")
        return {f"tracker_model.{place}.positional_embedding": value for place in places}
    place = substituted(name, _TRACKER)
    if step := _STEP.search(place):
        layer, kind = divmod(int(step[1]), 3)
        place = _STEP.sub(f".layers.{layer}.{'layer_norm' if kind else 'conv'}.", place)
    return {f"tracker_model.{place}": value}


def _joined(values: list[Any]) -> Any:
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    import torch

    return torch.cat(values)
