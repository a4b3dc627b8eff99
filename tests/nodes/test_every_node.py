"""What holds for every node that needs no model: inputs untouched, outputs as declared, the field's interface."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from typing import Any

import pytest
import torch

from engine.api import Lazy
from engine.authoring.decorator import definition_of
from engine.authoring.definition import NodeDefinition
from engine.cache.digests import digest
from engine.graph.dynamic import CHOOSING, GROWING, brought, growable, options_of
from engine.graph.schema import InputSpec
from nodes.aliases import ALIASES

MODULES = (
    "image", "image_compose", "image_grid", "image_filters", "mask", "latent", "primitives", "text", "arithmetic", "logic",
    "latent_pieces", "latent_layers", "resolutions", "colors", "image_resize",
    "porter_duff", "image_pad", "marigold_v2", "color_spaces", "color_transfer", "morphology", "text_overlay",
    "batches", "text_edits", "data_set_pictures", "latent_hunyuan_image",
)  # fmt: skip


def definitions_of(*modules: str) -> dict[str, NodeDefinition]:
    found: dict[str, NodeDefinition] = {}
    for name in modules:
        module = importlib.import_module(f"nodes.{name}")
        for value in vars(module).values():
            definition = definition_of(value)
            if definition is not None and definition.spec.module == module.__name__:
                found[definition.spec.name] = definition
    return found


DEFINITIONS = definitions_of(*MODULES)
CASES = [
    (name, choice)
    for name, definition in DEFINITIONS.items()
    for choice in next((spec.choices for spec in definition.spec.inputs if isinstance(spec.choices, tuple)), (None,))
]

BEYOND = {"NormalizeImages": 1.0}
"""How far the pictures of nodes reach beyond 0..1 on purpose."""

CONSTANTS: dict[str, Any] = {
    "expression": "a + 2",
    "text": "34",
    "megapixels": 0.01,
    "regex_pattern": "a(b)?",
    "template": "{a}",
}


def sample(kind: str) -> Any:
    generator = torch.Generator().manual_seed(7)
    match kind.split(",")[0]:
        case "INT" | "FLOAT":
            return 1
        case "IMAGE":
            return torch.rand(2, 9, 11, 3, generator=generator)
        case "MASK":
            return torch.rand(2, 9, 11, generator=generator)
        case "LATENT":
            return {
                "samples": torch.randn(2, 4, 9, 11, generator=generator),
                "noise_mask": torch.rand(2, 1, 72, 88, generator=generator),
                "batch_index": [3, 5],
            }
    return "some value"


def argument(spec: InputSpec, choice: Any) -> Any:
    if isinstance(spec.choices, tuple):
        return choice if choice in spec.choices else spec.choices[0]
    if spec.type == CHOOSING:
        return options_of(spec)[0]
    if spec.name in CONSTANTS:
        return CONSTANTS[spec.name]
    if spec.is_widget:
        default = (
            spec.default
            if spec.default is not None
            else {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False}.get(spec.type, "ab")
        )
        return 1 if spec.type.split(",")[0] in ("INT", "FLOAT") and default == 0 and (spec.le or 1) >= 1 else default
    value = sample(spec.type)
    return Lazy(lambda: asyncio.sleep(0, value)) if spec.lazy else value


def run(definition: NodeDefinition, inputs: dict[str, Any]) -> tuple[Any, ...]:
    if definition.spec.input_is_list:
        inputs = {name: [value] for name, value in inputs.items()}
    raw = definition.run(**inputs)
    if inspect.iscoroutine(raw):
        raw = asyncio.run(raw)
    return definition.read(definition.spec, raw).values


def inputs_of(definition: NodeDefinition, choice: Any) -> dict[str, Any]:
    inputs = {spec.name: argument(spec, choice) for spec in definition.spec.inputs if spec.type != GROWING}
    for spec in definition.spec.inputs:
        inputs |= {one.name: sample(one.type) for one in growable(spec)[:2]}
        inputs |= {one.name: one.default for one in brought(spec, inputs.get(spec.name))}
    if definition.spec.name == "CustomCombo":
        inputs["index"] = 0  # which front ends add
    if choice == "alpha":
        inputs["image"] = torch.cat([inputs["image"], inputs["image"][..., :1]], dim=-1)
    return inputs


@pytest.mark.parametrize(("name", "choice"), CASES)
def test_no_node_writes_into_its_inputs(name: str, choice: Any) -> None:
    inputs = inputs_of(DEFINITIONS[name], choice)
    plain = {key: value for key, value in inputs.items() if not isinstance(value, Lazy)}
    before = {key: digest(value) for key, value in plain.items()}
    assert None not in before.values()
    run(DEFINITIONS[name], inputs)
    assert {key: digest(value) for key, value in plain.items()} == before


@pytest.mark.parametrize(("name", "choice"), CASES)
def test_every_choice_gives_values_of_the_declared_types(name: str, choice: Any) -> None:
    definition = DEFINITIONS[name]
    values = run(definition, inputs_of(definition, choice))
    assert len(values) == len(definition.spec.outputs)
    for spec, value in zip(definition.spec.outputs, values):
        for item in value if spec.is_list else [value]:
            check_type(spec.type, item, overshoot=0.5 if choice == "bicubic" else BEYOND.get(name, 0.0))


def check_type(kind: str, value: Any, overshoot: float = 0.0) -> None:
    plain = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
    if kind == "LATENT":
        assert value["samples"].ndim in (4, 5)
        assert value["samples"].isfinite().all()
        assert value.get("noise_mask", torch.ones(1, 1, 1, 1)).ndim == 4
        assert len(value.get("batch_index", value["samples"])) == len(value["samples"])
    elif kind in ("IMAGE", "MASK"):
        assert value.dtype == torch.float32
        assert value.ndim == (4 if kind == "IMAGE" else 3)
        assert -overshoot <= value.min() <= value.max() <= 1 + overshoot
    elif kind in plain:
        assert type(value) is plain[kind]


@pytest.mark.parametrize(
    "name", [name for name, d in DEFINITIONS.items() if "IMAGE" in {i.type for i in d.spec.inputs}]
)
def test_every_picture_node_takes_pictures_with_alpha(name: str) -> None:
    inputs = inputs_of(DEFINITIONS[name], None)
    for key, value in inputs.items():
        if isinstance(value, torch.Tensor) and value.ndim == 4:
            inputs[key] = torch.cat([value, value[..., :1]], dim=-1)
    for spec, value in zip(DEFINITIONS[name].spec.outputs, run(DEFINITIONS[name], inputs)):
        for item in value if spec.is_list else [value]:
            check_type(spec.type, item, overshoot=BEYOND.get(name, 0.0))


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_every_node_is_explained_and_sorted_into_a_category(name: str) -> None:
    spec = DEFINITIONS[name].spec
    assert spec.doc.endswith((".", ")"))
    assert spec.category


def interface(name: str) -> tuple[list[str], list[str]]:
    known = definitions_of(*MODULES, "image_io")
    spec = known[ALIASES.get(name, name)].spec
    return [item.name for item in spec.inputs], [item.name for item in spec.outputs]


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("EmptyLatentImage", "width height batch_size", "LATENT"),
        ("LatentUpscale", "samples upscale_method width height crop", "LATENT"),
        ("LatentUpscaleBy", "samples upscale_method scale_by", "LATENT"),
        ("LatentComposite", "samples_to samples_from x y feather", "LATENT"),
        ("LatentCompositeMasked", "destination source x y resize_source mask", "LATENT"),
        ("LatentFromBatch", "samples batch_index length", "LATENT"),
        ("RepeatLatentBatch", "samples amount", "LATENT"),
        ("SetLatentNoiseMask", "samples mask", "LATENT"),
        ("LatentCrop", "samples width height x y", "LATENT"),
        ("LoadImage", "image", "IMAGE MASK"),
        ("LoadImageMask", "image channel", "MASK"),
        ("SaveImage", "images filename_prefix", "images"),
        ("PreviewImage", "images", "images"),
        ("ImageScale", "image upscale_method width height crop", "IMAGE"),
        ("ImageScaleBy", "image upscale_method scale_by", "IMAGE"),
        ("ImageScaleToTotalPixels", "image upscale_method megapixels resolution_steps", "IMAGE"),
        ("ImageCrop", "image width height x y", "IMAGE"),
        ("ImagePadForOutpaint", "image left top right bottom feathering", "IMAGE MASK"),
        ("ImageBlend", "image1 image2 blend_factor blend_mode", "IMAGE"),
        ("ImageBlur", "image blur_radius sigma", "IMAGE"),
        ("ImageSharpen", "image sharpen_radius sigma alpha", "IMAGE"),
        ("ImageStitch", "image1 direction match_image_size spacing_width spacing_color image2", "IMAGE"),
        ("ImageCompositeMasked", "destination source x y resize_source mask", "IMAGE"),
        ("GetImageSize", "image", "width height batch_size"),
        ("EmptyImage", "width height batch_size color", "IMAGE"),
        ("Canny", "image low_threshold high_threshold", "IMAGE"),
        ("SolidMask", "value width height", "MASK"),
        ("CropMask", "mask x y width height", "MASK"),
        ("MaskComposite", "destination source x y operation", "MASK"),
        ("FeatherMask", "mask left top right bottom", "MASK"),
        ("GrowMask", "mask expand tapered_corners", "MASK"),
        ("ComfySwitchNode", "switch on_false on_true", "output"),
        ("RegexExtract", "string regex_pattern mode case_insensitive multiline dotall group_index", "STRING"),
    ],
)
def test_saved_workflows_of_the_field_find_their_inputs_in_order(name: str, inputs: str, outputs: str) -> None:
    assert interface(name) == (inputs.split(), outputs.split())


def test_every_alias_of_these_nodes_names_a_node() -> None:
    ours = {"EmptyLatentImage", "ComfySwitchNode"}
    assert {ALIASES[name] for name in ours} <= set(DEFINITIONS)
