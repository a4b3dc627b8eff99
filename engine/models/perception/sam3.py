"""SAM 3 (Carion et al. 2025): finds and segments what a text, boxes or clicks ask for, and follows it through a video.

Of SAM 3.1 the detector and the decoder of clicks are read, which are as SAM 3's; no library has its tracker. Names of files are
those of transformers, with their config.json, or of the authors; sizes that no tensor tells are those of the released models,
or what the metadata says under `perception`: `image_size`, `window`, `head`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.networks import sam3_names
from engine.models.networks.sam3_names import CLICKS, TRUNK, is_original
from engine.models.shapes import count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes

TITLE = "SAM 3, which segments what is asked for"
LOADER = "CheckpointLoaderSimple"
USE = "SAM3_Detect or SAM3_VideoTrack"
CALL = "engine.models.networks.segmenting:Segmenter"
READS = False
MODEL_TYPES = ("sam3_video", "sam3")

_LIBRARY = "detector_model.vision_encoder.backbone.embeddings.position_embeddings"
_IMAGE, _WINDOW, _GLOBAL, _HEAD = 1008, 24, 4, 64
"""Pixels a side; patches of a window; every such layer, of so many parts of the network, sees all; width of a head."""

_NO_TEXT = {
    "hidden_size": 8, "num_hidden_layers": 0, "num_attention_heads": 1, "vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
"""The library makes a reader of texts, which is not used here."""


def is_there(shapes: Shapes) -> bool:
    """Say whether tensors are SAM 3 in either naming."""
    return is_original(shapes) or _LIBRARY in shapes


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return `detector` and `tracker`, arguments of the library's config classes; no tracker where the file has none.

    `clicks`: that the tracker is there for clicks alone. KeyError for a tensor that is not there.
    """
    if is_original(shapes):
        return _of_shapes(shapes, hints)
    if hints.get("model_type") != "sam3_video":
        raise KeyError(
            "in the names of its authors, or the config.json of a sam3_video beside the file that says its sizes"
        )
    kept = {name: hints[name] for name in ("low_res_mask_size",) if name in hints}
    return {"detector": hints["detector_config"], "tracker": hints["tracker_config"], "video": kept, "clicks": False}


def _of_shapes(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    position = shapes[f"detector.{TRUNK}pos_embed"]
    patch = shapes[f"detector.{TRUNK}patch_embed.proj.weight"][-1]
    inner = shapes[f"detector.{TRUNK}blocks.0.mlp.fc1.weight"][0]
    layers, side = count(shapes, f"detector.{TRUNK}blocks."), int(hints.get("image_size", _IMAGE))
    head = int(hints.get("head", _HEAD))
    necks = count(shapes, "detector.backbone.vision_backbone.convs.")
    grid = side // patch
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": position[-1],
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": position[-1] // head,
        "image_size": side,
        "patch_size": patch,
        "window_size": int(hints.get("window", _WINDOW)),
        "global_attn_indexes": [
            part * layers // _GLOBAL - 1 for part in range(1, _GLOBAL + 1) if part * layers >= _GLOBAL
        ],
        "pretrain_image_size": math.isqrt(position[1]) * patch,
    }
    width = shapes["detector.transformer.decoder.query_embed.weight"][1]
    vision = {
        "backbone_config": backbone,
        "fpn_hidden_size": width,
        "scale_factors": [4.0, 2.0, 1.0, 0.5][:necks],
        "backbone_feature_sizes": [[grid * 4] * 2, [grid * 2] * 2, [grid] * 2],
    }
    heads = max(1, width * 2 // head)
    wide = {"hidden_size": width, "num_attention_heads": heads}
    inner = shapes["detector.transformer.decoder.layers.0.linear1.weight"][0]
    detector = {
        "vision_config": vision,
        "text_config": dict(_NO_TEXT),
        "geometry_encoder_config": {**wide, "num_layers": 0},
        "detr_encoder_config": {
            **wide, "intermediate_size": inner, "num_layers": count(shapes, "detector.transformer.encoder.layers."),
        },
        "detr_decoder_config": {
            **wide, "intermediate_size": inner, "num_layers": count(shapes, "detector.transformer.decoder.layers."),
            "num_queries": shapes["detector.transformer.decoder.query_embed.weight"][0],
        },
        "mask_decoder_config": {
            **wide, "num_upsampling_stages": count(shapes, "detector.segmentation_head.pixel_decoder.conv_layers."),
        },
    }  # fmt: skip
    clicks = any(name.startswith(CLICKS) for name in shapes)
    lone = f"{CLICKS if clicks else 'tracker.sam_mask_decoder.'}iou_token.weight"
    if lone not in shapes:
        return {"detector": detector, "tracker": None, "video": {}, "clicks": False}
    tracker: dict[str, Any] = {
        "vision_config": vision,
        "image_size": side,
        "prompt_encoder_config": {"hidden_size": width, "image_size": side, "patch_size": patch},
        "mask_decoder_config": {"hidden_size": width, "iou_head_hidden_dim": width},
    }
    tracker |= hints.get("tracker", {})
    return {"detector": detector, "tracker": tracker, "video": {"low_res_mask_size": grid * 4}, "clicks": clicks}


def build(config: Facts) -> nn.Module:
    """Return the library's SAM 3 without its reader of texts and of boxes as examples."""
    from engine.models.networks.sam3_module import build as built

    return built(config)


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names."""
    if any(name.startswith(f"detector.{TRUNK}") for name in tensors):
        return sam3_names.seen(tensors)
    return {name.replace(".out_proj.", ".o_proj."): value for name, value in tensors.items()}
