"""A small catalogue of the field's text-to-image nodes, and the files that they choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from engine.graph.schema import Catalogue, Files, InputSpec, NodeSpec, OutputSpec

FILES = {
    "checkpoints": ["emoji-64.safetensors", "sd15.safetensors", "sdxl/base.safetensors"],
    "input": ["cat.png", "dog.png"],
    "output": ["result_00001_.png"],
    "loras": [],
}


def files_of(files: Files) -> Sequence[str]:
    return FILES[files.folder]


def text(name: str, **facts: Any) -> InputSpec:
    return InputSpec(name=name, type="STRING", **facts)


def whole(name: str, default: int, ge: float, le: float, **facts: Any) -> InputSpec:
    return InputSpec(name=name, type="INT", default=default, ge=ge, le=le, **facts)


def number(name: str, default: float, ge: float, le: float, **facts: Any) -> InputSpec:
    return InputSpec(name=name, type="FLOAT", default=default, ge=ge, le=le, **facts)


def choice(name: str, choices: Any, **facts: Any) -> InputSpec:
    return InputSpec(name=name, type="COMBO", choices=choices, **facts)


def node(name: str, inputs: Sequence[InputSpec | str], outputs: str = "", **facts: Any) -> NodeSpec:
    """A spec; an input written `name:TYPE` is a socket, outputs are written `name:TYPE` too, with blanks between."""
    pairs = [pair.split(":") for pair in outputs.split()]
    declared = [
        InputSpec(name=one.split(":")[0], type=one.split(":")[1]) if isinstance(one, str) else one for one in inputs
    ]
    return NodeSpec(
        name=name,
        inputs=tuple(declared),
        outputs=tuple(OutputSpec(name=called, type=kind) for called, kind in pairs),
        **facts,
    )


def field_nodes() -> list[NodeSpec]:
    samplers, schedulers = ("euler", "euler_ancestral", "heun", "dpmpp_2m"), ("normal", "karras", "simple")
    return [
        node(
            "CheckpointLoaderSimple",
            [choice("ckpt_name", Files("checkpoints"))],
            "MODEL:MODEL CLIP:CLIP VAE:VAE",
        ),
        node("CLIPTextEncode", [text("text", multiline=True), "clip:CLIP"], "CONDITIONING:CONDITIONING"),
        node(
            "EmptyLatentImage",
            [whole("width", 512, 16, 16384), whole("height", 512, 16, 16384), whole("batch_size", 1, 1, 4096)],
            "LATENT:LATENT",
        ),
        node(
            "KSampler",
            [
                "model:MODEL",
                whole("seed", 0, 0, 2**64 - 1, seed=True),
                whole("steps", 20, 1, 10_000),
                number("cfg", 8.0, 0.0, 100.0),
                choice("sampler_name", samplers),
                choice("scheduler", schedulers),
                "positive:CONDITIONING",
                "negative:CONDITIONING",
                "latent_image:LATENT",
                number("denoise", 1.0, 0.0, 1.0),
            ],
            "LATENT:LATENT",
        ),
        node("VAEDecode", ["samples:LATENT", "vae:VAE"], "IMAGE:IMAGE"),
        node("SaveImage", ["images:IMAGE", text("filename_prefix", default="Safelight")], output_node=True),
        node("PreviewImage", ["images:IMAGE"], output_node=True),
        node("PreviewAny", ["source:*"], output_node=True),
        node(
            "LoadImage",
            [choice("image", Files("input"), options={"image_upload": True})],
            "IMAGE:IMAGE MASK:MASK",
        ),
        node("ImageInvert", ["image:IMAGE"], "IMAGE:IMAGE"),
        node(
            "ImageBlend",
            ["image1:IMAGE", "image2:IMAGE", number("blend_factor", 0.5, 0.0, 1.0)],
            "IMAGE:IMAGE",
        ),
        node("ConditioningCombine", ["conditioning_1:CONDITIONING", "conditioning_2:CONDITIONING"], "C:CONDITIONING"),
        node(
            "ControlNetApplyAdvanced",
            ["positive:CONDITIONING", "negative:CONDITIONING", number("strength", 1.0, 0.0, 10.0)],
            "positive:CONDITIONING negative:CONDITIONING",
        ),
        node(
            "LoraLoader",
            ["model:MODEL", "clip:CLIP", choice("lora_name", Files("loras"))],
            "MODEL:MODEL CLIP:CLIP",
        ),
        node("PrimitiveInt", [InputSpec(name="value", type="INT")], "INT:INT"),
        node("PrimitiveString", [text("value", multiline=True)], "STRING:STRING"),
        node("PrimitiveBoolean", [InputSpec(name="value", type="BOOLEAN")], "BOOLEAN:BOOLEAN"),
        node("Tint", [InputSpec(name="colour", type="COLOUR"), "image:IMAGE"], "IMAGE:IMAGE"),
        node("Switch", [whole("index", 0, 0, 99)], "value:*", open_inputs=True),
        node(
            "Resize",
            [
                "image:IMAGE",
                choice("factor", (1, 2, 4)),
                InputSpec(name="mask", type="MASK", required=False),
                InputSpec(name="note", type="STRING", required=False),
            ],
            "IMAGE:IMAGE",
        ),
    ]


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(field_nodes(), {"LoadCheckpoint": "CheckpointLoaderSimple"})


@pytest.fixture
def files() -> Callable[[Files], Sequence[str]]:
    return files_of


@pytest.fixture
def text_to_image() -> dict[str, Any]:
    """A sound prompt; tests change one thing in it."""
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red apple", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
                "seed": 1,
                "steps": 20,
                "cfg": 7.5,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "apple"}},
    }
