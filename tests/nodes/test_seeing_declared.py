"""Nodes with networks that see: saved workflows' widgets, in their order, are theirs, and outputs have the field's names."""

from __future__ import annotations

from typing import Any

import pytest

WIDGETS = {
    "RTDETR_detect": "threshold class_name max_detections",
    "SAM3_Detect": "threshold refine_iterations individual_masks",
    "SAM3_VideoTrack": "detection_threshold max_objects detect_interval",
    "SAM3_TrackToMask": "object_indices",
    "SAM3_TrackPreview": "opacity fps",
    "LoadBackgroundRemovalModel": "bg_removal_name",
    "RemoveBackground": "",
    "LoadDA3Model": "model_name weight_dtype",
    "DA3Inference": "resolution resize_method mode",
    "DA3Render": "output",
    "LoadMoGeModel": "model_name",
    "MoGeInference": "resolution_level fov_x_degrees batch_size force_projection apply_mask refine_steps",
    "MoGeRender": "output",
    "MoGeGeometryToFOV": "axis unit",
    "SDPoseDrawKeypoints": (
        "draw_body draw_hands draw_face draw_feet stick_width face_point_size score_threshold draw_head"
    ),
    "SDPoseFaceBBoxes": "scale force_square",
    "MarigoldV2PostProcess": "prediction",
}
OUTPUTS = {
    "MaskPreview": [("mask", "MASK")],
    "RTDETR_detect": [("bboxes", "BOUNDING_BOX")],
    "SAM3_Detect": [("masks", "MASK"), ("bboxes", "BOUNDING_BOX")],
    "SAM3_VideoTrack": [("track_data", "SAM3_TRACK_DATA")],
    "SAM3_TrackToMask": [("masks", "MASK")],
    "LoadBackgroundRemovalModel": [("bg_model", "BACKGROUND_REMOVAL")],
    "RemoveBackground": [("mask", "MASK")],
    "LoadDA3Model": [("DA3_MODEL", "DA3_MODEL")],
    "DA3Inference": [("da3_geometry", "DA3_GEOMETRY")],
    "DA3Render": [("IMAGE", "IMAGE")],
    "LoadMoGeModel": [("MOGE_MODEL", "MOGE_MODEL")],
    "MoGeInference": [("moge_geometry", "MOGE_GEOMETRY")],
    "MoGeRender": [("IMAGE", "IMAGE")],
    "MoGeGeometryToFOV": [("fov", "FLOAT"), ("focal_pixels", "FLOAT")],
    "SDPoseDrawKeypoints": [("IMAGE", "IMAGE")],
    "SDPoseFaceBBoxes": [("bboxes", "BOUNDING_BOX")],
    "MarigoldV2PostProcess": [("IMAGE", "IMAGE")],
}


@pytest.mark.parametrize("name", WIDGETS)
def test_widgets_stand_in_the_order_of_saved_workflows(builtin_catalogue: Any, name: str) -> None:
    inputs = builtin_catalogue.spec(name).inputs
    assert [one.name for one in inputs if one.is_widget] == WIDGETS[name].split()


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_have_the_fields_names_and_types(builtin_catalogue: Any, name: str) -> None:
    assert [(one.name, one.type) for one in builtin_catalogue.spec(name).outputs] == OUTPUTS[name]
