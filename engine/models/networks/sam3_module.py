"""SAM 3 of the library, without what is not used: its reader of texts, and that of boxes as examples, which wants torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from transformers.models.sam3.configuration_sam3 import Sam3Config
from transformers.models.sam3.modeling_sam3 import Sam3Model, Sam3VisionNeck
from transformers.models.sam3_tracker_video.configuration_sam3_tracker_video import Sam3TrackerVideoConfig
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from transformers.models.sam3_video.configuration_sam3_video import Sam3VideoConfig
from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoModel

_OF_VIDEO = (
    "memory_attention", "memory_encoder", "mask_downsample", "object_pointer_proj",
    "temporal_positional_encoding_projection_layer", "no_memory_positional_encoding", "memory_temporal_positional_encoding",
    "no_object_pointer", "occlusion_spatial_embedding_parameter",
)  # fmt: skip
"""Parts of a tracker that clicks on a picture do not need."""


class Clicked(nn.Module):
    """A detector, and where it is there what decodes clicks: SAM 3.1 as far as the library has it, or SAM 3 without a tracker."""

    def __init__(self, detector: Sam3Config, tracker: Any) -> None:
        super().__init__()
        self.detector_model = Sam3Model(detector)
        self.tracker_model = self.tracker_neck = None
        if tracker is not None:
            self.tracker_model = Sam3TrackerVideoModel(tracker, remove_vision_encoder=True)
            self.tracker_neck = Sam3VisionNeck(detector.vision_config)
            for name in _OF_VIDEO:
                setattr(self.tracker_model, name, None)


def build(config: Mapping[str, Any]) -> nn.Module:
    """Return SAM 3 as a config of `engine.models.perception.sam3` says."""
    tracker = config["tracker"]
    if tracker is None or config["clicks"]:
        # the library wants one level more than SAM 3.1 has; it drops it at once, and it has no weights of its own
        detector = Sam3Config(**_nested(config["detector"]))
        module: Any = Clicked(detector, tracker and Sam3TrackerVideoConfig(**_nested(tracker)))
    else:
        told = {"detector_config": _nested(config["detector"]), "tracker_config": _nested(tracker), **config["video"]}
        module = Sam3VideoModel(Sam3VideoConfig(**told))
    for name in ("text_encoder", "text_projection", "geometry_encoder"):
        setattr(module.detector_model, name, None)
    made: nn.Module = module
    return made


def _nested(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that the library may change."""
    return {name: _nested(value) if isinstance(value, Mapping) else value for name, value in config.items()}
