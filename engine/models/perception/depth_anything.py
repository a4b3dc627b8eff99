"""Depth Anything (Yang et al. 2024) and its 2nd form, as transformers has them: a file with its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.renaming import substituted

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes

TITLE = "Depth Anything 1 or 2"
LOADER = "LoadDA3Model"
USE = "DA3Inference"
CALL = "engine.models.networks.depths:DepthEstimator"
READS = False
MODEL_TYPES = ("depth_anything",)

_PARTS = (
    "backbone.embeddings.cls_token",
    "neck.reassemble_stage.layers.0.projection.weight",
    "neck.convs.0.weight",
    "head.conv3.weight",
)
_ORIGINAL = ("pretrained.pos_embed", "depth_head.scratch.layer1_rn.weight")
"""As the authors write them, who have no config.json."""
_NAMES = [
    (r"\.attention\.attention\.query\.", ".attention.q_proj."),
    (r"\.attention\.attention\.key\.", ".attention.k_proj."),
    (r"\.attention\.attention\.value\.", ".attention.v_proj."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"^", "network."),
]
"""From the names that files have to those of the library's network."""


def is_there(shapes: Shapes) -> bool:
    """Say whether tensors are Depth Anything 1 or 2, in either naming."""
    return any(all(name in shapes for name in names) for names in (_PARTS, _ORIGINAL))


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return the library's arguments; KeyError without the config.json that tells them, or in the authors' naming."""
    if _PARTS[0] not in shapes:
        raise KeyError(f"{_PARTS[0]}, as transformers names it; use the form of transformers, with its config.json")
    if "backbone_config" not in hints:
        raise KeyError("of a config.json beside the file, which says its sizes")
    if (kind := hints["backbone_config"].get("model_type", "dinov2")) != "dinov2":
        raise KeyError(f"of a DINOv2 backbone, having {kind}")
    return {name: value for name, value in hints.items() if name not in ("file", "dtype", "torch_dtype")}


def build(config: Facts) -> nn.Module:
    """Return the library's network, which gives depth."""
    from engine.models.networks.disparity_module import DisparityNetwork

    return DisparityNetwork(config)


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of the network."""
    return {substituted(name, _NAMES): value for name, value in tensors.items()}
