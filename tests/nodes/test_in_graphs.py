"""The nodes that are about running other nodes, run by the executor: laziness, lists, gates."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from engine.authoring.decorator import definition_of
from engine.cache.facade import Cache
from engine.execute.executor import Executor
from engine.execute.result import RunResult
from engine.graph.schema import Catalogue
from engine.graph.validate import check
from engine.graph.widgets import named_values
from nodes.aliases import ALIASES

MODULES = (
    *(
        "image",
        "image_compose",
        "image_grid",
        "image_resize",
        "latent",
        "mask",
        "primitives",
        "text",
        "arithmetic",
        "logic",
    ),
)
DEFINITIONS = {
    definition.spec.name: definition
    for name in MODULES
    for value in vars(importlib.import_module(f"nodes.{name}")).values()
    if (definition := definition_of(value)) is not None
}
CATALOGUE = Catalogue([definition.spec for definition in DEFINITIONS.values()], ALIASES)


def run(graph: dict[str, tuple[str, dict[str, Any]]], *values: str) -> RunResult:
    prompt = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in graph.items()}
    checked = check(prompt, CATALOGUE, choices=lambda files: [])
    assert checked.problems == []
    executor = Executor(DEFINITIONS.__getitem__, CATALOGUE, Cache(None))
    try:
        return executor.run_sync(checked.prompt, checked.outputs, values=values)
    finally:
        executor.close()


@pytest.mark.parametrize(("pick", "taken", "left"), [(True, "yes", "no"), (False, "no", "yes")])
def test_what_a_switch_does_not_take_never_runs(pick: bool, taken: str, left: str) -> None:
    result = run(
        {
            "yes": ("EmptyImage", {"width": 8, "height": 8, "batch_size": 1, "color": 1}),
            "no": ("EmptyImage", {"width": 16, "height": 8, "batch_size": 1, "color": 2}),
            "switch": ("ComfySwitchNode", {"switch": pick, "on_true": ["yes", 0], "on_false": ["no", 0]}),
            "size": ("GetImageSize", {"image": ["switch", 0]}),
            "show": ("PreviewAny", {"source": ["size", 0]}),
        }
    )
    assert result.status == "done"
    assert result.ui["show"] == {"text": ["8" if pick else "16"]}
    assert result.nodes[taken].status == "ran"
    assert left not in result.nodes or result.nodes[left].status == "not_run"


def test_a_switch_works_with_one_side_linked_and_says_when_it_is_the_other() -> None:
    graph = {
        "text": ("PrimitiveString", {"value": "yes"}),
        "switch": ("Switch", {"switch": True, "on_true": ["text", 0]}),
        "show": ("PreviewAny", {"source": ["switch", 0]}),
    }
    assert run(graph).ui["show"] == {"text": ["yes"]}
    graph["switch"][1]["switch"] = False
    result = run(graph)
    assert result.status == "failed"
    assert "nothing is linked to on_false" in result.failures[0].message


def test_a_closed_gate_skips_what_is_below_without_an_error() -> None:
    result = run(
        {
            "text": ("PrimitiveString", {"value": "x"}),
            "gate": ("Gate", {"value": ["text", 0], "open": False}),
            "show": ("PreviewAny", {"source": ["gate", 0]}),
            "other": ("PreviewAny", {"source": ["text", 0]}),
        }
    )
    assert result.failures == []
    assert result.nodes["show"].status == "skipped"
    assert result.ui["other"] == {"text": ["x"]}


def test_nodes_run_once_per_line_and_a_contact_sheet_gathers_the_pictures() -> None:
    result = run(
        {
            "lines": ("TextLines", {"text": "one\n\ntwo\nthree"}),
            "number": ("StringLength", {"string": ["lines", 0]}),
            "image": ("EmptyImage", {"width": 40, "height": ["number", 0], "batch_size": 1, "color": 0}),
            "grid": (
                "ImageGrid",
                {
                    "images": ["image", 0],
                    "labels": ["lines", 0],
                    "columns": 3,
                    "spacing": 0,
                    "label_size": 10,
                    "background": 0xFFFFFF,
                },
            ),
            "size": ("GetImageSize", {"image": ["grid", 0]}),
            "show": ("PreviewAny", {"source": ["size", 1]}),
        },
        "image",
        "grid",
    )
    assert result.status == "done"
    assert [image.shape[1] for image in result.values["image"][0]] == [3, 3, 5]
    assert result.values["grid"][0].shape == (1, 5 + 15, 120, 3)
    assert result.ui["show"] == {"text": ["20"]}


def test_a_range_of_numbers_runs_a_node_for_each() -> None:
    result = run(
        {
            "range": ("FloatRange", {"start": 0.0, "stop": 1.0, "count": 3}),
            "double": ("FloatArithmetic", {"a": ["range", 0], "b": 2.0, "operation": "multiply"}),
            "show": ("PreviewAny", {"source": ["double", 0]}),
        }
    )
    assert result.ui["show"] == {"text": ["0.0", "1.0", "2.0"]}


def test_a_batch_dealt_out_as_a_list_is_worked_on_piece_by_piece() -> None:
    result = run(
        {
            "latents": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 3}),
            "list": ("RebatchLatents", {"latents": ["latents", 0], "batch_size": 2}),
            "show": ("PreviewAny", {"source": ["list", 0]}),
        },
        "list",
    )
    assert [item["batch_index"] for item in result.values["list"][0]] == [[0, 1], [2]]
    assert len(result.ui["show"]["text"]) == 2


PICTURE = ("EmptyImage", {"width": 12, "height": 8, "batch_size": 1, "color": 0})


def shown(graph: dict[str, tuple[str, dict[str, Any]]], source: list[Any]) -> str:
    result = run({**graph, "show": ("PreviewAny", {"source": source})})
    assert result.status == "done"
    (text,) = result.ui["show"]["text"]
    return str(text)


def test_numbers_linked_to_an_expression_are_its_letters() -> None:
    graph = {
        "size": ("GetImageSize", {"image": ["picture", 0]}),
        "picture": PICTURE,
        "half": ("PrimitiveFloat", {"value": 0.5}),
        "sum": ("ComfyMathExpression", {"expression": "a * b", "values.a": ["size", 0], "values.b": ["half", 0]}),
    }
    assert [shown(graph, ["sum", slot]) for slot in range(3)] == ["6.0", "6", "true"]


def test_an_expression_and_a_batch_with_nothing_linked_are_refused_before_a_run() -> None:
    prompt = {
        "sum": {"class_type": "ComfyMathExpression", "inputs": {"expression": "1 + 1"}},
        "batch": {"class_type": "BatchImagesNode", "inputs": {}},
        "one": {"class_type": "PreviewAny", "inputs": {"source": ["sum", 0]}},
        "two": {"class_type": "PreviewAny", "inputs": {"source": ["batch", 0]}},
    }
    problems = check(prompt, CATALOGUE, choices=lambda files: []).problems
    assert {(one.node_id, one.input_name) for one in problems} == {("sum", "values.a"), ("batch", "images.image0")}


def test_pictures_linked_to_a_batch_are_in_it() -> None:
    inputs = {f"images.image{at}": ["picture", 0] for at in (0, 1, 2)}
    assert shown({"picture": PICTURE, "batch": ("BatchImagesNode", inputs)}, ["batch", 0]).startswith(
        "float32 tensor (3, 8, 12, 3)"
    )


@pytest.mark.parametrize(
    ("source", "slot_shape"), [("picture", "(1, 4, 6, 3)"), ("mask", "(1, 4, 6)")], ids=["pictures", "masks"]
)
def test_what_a_way_of_scaling_brings_reaches_the_node(source: str, slot_shape: str) -> None:
    inputs = {
        "input": [source, 0],
        "resize_type": "scale longer dimension",
        "resize_type.longer_size": 6,
        "scale_method": "area",
    }
    graph = {
        "picture": PICTURE,
        "mask": ("ImageToMask", {"image": ["picture", 0], "channel": "red"}),
        "scaled": ("ResizeImageMaskNode", inputs),
    }
    assert shown(graph, ["scaled", 0]).startswith(f"float32 tensor {slot_shape}")


def test_the_place_of_a_choice_comes_from_what_front_ends_add() -> None:
    told = ("CustomCombo", {"choice": "b", "index": 1, "option1": "a", "option2": "b"})
    assert [shown({"combo": told}, ["combo", slot]) for slot in (0, 1)] == ["b", "1"]
    untold = ("CustomCombo", {"choice": "b"})
    assert shown({"combo": untold}, ["combo", 0]) == "b"
    result = run({"combo": untold, "show": ("PreviewAny", {"source": ["combo", 1]})})
    assert result.status != "done"


@pytest.mark.parametrize(
    ("kind", "values", "named"),
    [
        (
            "ResizeImageMaskNode",
            ["scale dimensions", 480, 832, "center", "lanczos"],
            {
                "resize_type": "scale dimensions",
                "resize_type.width": 480,
                "resize_type.height": 832,
                "resize_type.crop": "center",
                "scale_method": "lanczos",
            },
        ),
        (
            "ResizeImageMaskNode",
            ["scale total pixels", 1.6, "area"],
            {"resize_type": "scale total pixels", "resize_type.megapixels": 1.6, "scale_method": "area"},
        ),
        ("ComfyMathExpression", ["a & ~1"], {"expression": "a & ~1"}),
        (
            "ImageCropV2",
            [{"x": 1, "y": 2, "width": 3, "height": 4}, 0, 0, 512, 512],
            {"crop_region": {"x": 1, "y": 2, "width": 3, "height": 4}},
        ),
        ("SeedNode", [7, "randomize"], {"seed": 7}),
        ("BatchImagesNode", [], {}),
    ],
)
def test_values_of_saved_nodes_find_their_inputs(kind: str, values: list[Any], named: dict[str, Any]) -> None:
    assert named_values({"type": kind, "widgets_values": values}, CATALOGUE.spec(kind)) == named


@pytest.mark.parametrize(
    ("kind", "values", "refused"),
    [
        ("ResizeImageMaskNode", {"resize_type": "scale to golden section"}, "resize_type"),
        ("SaveImageAdvanced", {"format": "jxl"}, "format"),
        ("SaveImageAdvanced", {"format": "png", "format.bit_depth": "12-bit"}, "format.bit_depth"),
        ("ModelSamplingAuraFlow", {"sampling": "img_to_img_velocity"}, "sampling"),
    ],
)
def test_choices_of_the_field_that_are_not_here_are_refused_before_a_run(
    builtin_catalogue: Catalogue, kind: str, values: dict[str, Any], refused: str
) -> None:
    prompt = {"node": {"class_type": kind, "inputs": values}, "show": {"class_type": "PreviewAny", "inputs": {}}}
    prompt["show"]["inputs"] = {"source": ["node", 0]}
    problems = check(prompt, builtin_catalogue, choices=lambda files: []).problems
    assert [one.input_name for one in problems if one.type == "value_not_in_list"] == [refused]
