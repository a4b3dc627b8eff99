"""Tools on pictures run by the executor: layers, lists of tiles, curves and boxes on links, inputs that a choice brings."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch

from engine.authoring.decorator import definition_of
from engine.cache.facade import Cache
from engine.execute.executor import Executor
from engine.execute.result import RunResult
from engine.graph.schema import Catalogue
from engine.graph.validate import check

MODULES = (
    *("image", "image_tiles", "image_pad", "layers", "boxes", "curves", "color_transfer", "logic", "shaders"),
    *("image_crop_to_mask", "mask", "color_spaces"),
)
DEFINITIONS = {
    definition.spec.name: definition
    for name in MODULES
    for value in vars(importlib.import_module(f"nodes.{name}")).values()
    if (definition := definition_of(value)) is not None
}
CATALOGUE = Catalogue([definition.spec for definition in DEFINITIONS.values()], {})
GREY = ("EmptyImage", {"width": 80, "height": 70, "batch_size": 1, "color": 0x808080})


def run(graph: dict[str, tuple[str, dict[str, Any]]], cache: Cache, *values: str) -> RunResult:
    given = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in graph.items()}
    checked = check(given, CATALOGUE, choices=lambda files: [])
    assert [str(one) for one in checked.problems] == []
    executor = Executor(DEFINITIONS.__getitem__, CATALOGUE, cache)
    try:
        return executor.run_sync(checked.prompt, checked.outputs, values=values)
    finally:
        executor.close()


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        (
            "PadImageNode",
            {
                "image": ["grey", 0],
                "padding_type": "pad to multiple",
                "padding_type.multiple": 32,
                "padding_style": "mirror image",
            },
        ),
        (
            "ColorTransfer",
            {
                "image_target": ["grey", 0],
                "image_ref": ["grey", 0],
                "method": "mkl_lab",
                "source_stats": "target_frame",
                "source_stats.target_index": 3,
                "strength": 1.0,
            },
        ),
        ("ImageSDRToHDR", {"image": ["grey", 0], "algorithm": "lottes", "algorithm.target_luminance": 650}),
        ("ImageCropV2", {"image": ["grey", 0], "crop_region": ["box", 0]}),
        ("CropByBBoxes", {"image": ["grey", 0], "bboxes": ["box", 0]}),
        ("DrawBBoxes", {"image": ["grey", 0], "bboxes": ["box", 0]}),
        ("ImageMergeTileList", {"image_list": ["tiles", 0], "final_width": 80, "final_height": 70, "overlap": 16}),
        ("ImageCompositor", {"layers": ["more", 0], "compositor": {}}),
    ],
)
def test_values_on_links_and_inputs_that_a_choice_brings_reach_their_node(kind: str, inputs: dict[str, Any]) -> None:
    graph = {
        "grey": GREY,
        "box": ("PrimitiveBoundingBox", {"x": 8, "y": 4, "width": 32, "height": 16}),
        "tiles": (
            "SplitImageToTileList",
            {"image": ["grey", 0], "tile_width": 64, "tile_height": 64, "overlap": 16},
        ),
        "layers": ("AddLayer", {"image": ["grey", 0], "blend_mode": "color-dodge", "rotation": 15.0}),
        "more": ("LayersFromBoundingBoxes", {"image": ["grey", 0], "bboxes": ["box", 0], "layers": ["layers", 0]}),
        "tool": (kind, inputs),
        "show": ("PreviewAny", {"source": ["tool", 0]}),
    }
    cache = Cache(None)
    first = run(graph, cache, "tool")
    assert first.status == "done", first.failures
    value = first.values["tool"][0]
    assert isinstance(value, torch.Tensor)
    assert value.ndim == 4
    again = run(graph, cache)
    assert "ran" not in {one.status for one in again.nodes.values()}


def test_a_shader_needs_a_picture_alone_and_says_at_its_node_what_is_wrong() -> None:
    graph: dict[str, tuple[str, dict[str, Any]]] = {
        "grey": GREY,
        "curve": ("CurveEditor", {"curve": {"points": [[0, 0], [1, 1]], "interpolation": "linear"}}),
        "shader": (
            "GLSLShader",
            {
                "fragment_shader": "#version 330\n",
                "size_mode": "custom",
                "size_mode.width": 16,
                "size_mode.height": 8,
                "images.image0": ["grey", 0],
                "curves.u_curve0": ["curve", 0],
            },
        ),
        "show": ("PreviewAny", {"source": ["shader", 1]}),
    }
    result = run(graph, Cache(None))
    assert result.status == "failed"
    assert "first line must be `#version 300 es`" in result.failures[0].message
    del graph["shader"][1]["images.image0"]
    given = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in graph.items()}
    assert [one.input_name for one in check(given, CATALOGUE, choices=lambda files: []).problems] == ["images.image0"]
