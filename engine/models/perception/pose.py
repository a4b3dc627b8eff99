"""ViTPose (Xu et al. 2022): the joints of people in boxes. Files are those of transformers, with their config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes

TITLE = "ViTPose, which finds joints"
LOADER = "LoadPoseModel"
USE = "PoseDetect"
CALL = "engine.models.networks.posing:PoseEstimator"
READS = False
MODEL_TYPES = ("vitpose",)

_PARTS = ("backbone.embeddings.position_embeddings", "head.conv.weight", "backbone.layernorm.weight")
_JOINTS = (17, 133)
"""Of COCO's people, and of these with feet, face and hands."""


def is_there(shapes: Shapes) -> bool:
    """Say whether tensors are ViTPose."""
    return all(name in shapes for name in _PARTS)


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return the library's arguments; KeyError without the config.json that tells them, and for joints that are not COCO's."""
    if "backbone_config" not in hints:
        raise KeyError("of a config.json beside the file, which says its sizes")
    if (joints := shapes["head.conv.weight"][0]) not in _JOINTS:
        raise KeyError(f"head.conv.weight with 17 or 133 joints, as COCO has them, not {joints}")
    return {
        **{name: value for name, value in hints.items() if name not in ("file", "dtype", "torch_dtype")},
        "joints": joints,
    }


def build(config: Facts) -> nn.Module:
    """Return the library's network."""
    from transformers import VitPoseConfig, VitPoseForPoseEstimation
    from transformers.models.vitpose_backbone.configuration_vitpose_backbone import VitPoseBackboneConfig

    from engine.models.networks.settled import settled

    told = {name: value for name, value in config.items() if name not in ("joints", "model_type", "architectures")}
    eye = {name: value for name, value in told["backbone_config"].items() if name != "model_type"}
    told |= {"backbone_config": VitPoseBackboneConfig(**eye), "num_labels": config["joints"]}
    return settled(VitPoseForPoseEstimation(VitPoseConfig(**told)))


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors, which have the library's names."""
    return dict(tensors)
