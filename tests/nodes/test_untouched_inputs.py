"""Built-in nodes are trusted with the values themselves: those that need models leave their inputs as they are, too."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.cache.digests import digest
from engine.graph.schema import InputSpec
from engine.sampling.guiders import CfgGuidance, GuidedModel
from engine.sampling.names import Sampler
from nodes.custom_sampling import SeededNoise
from tests.nodes.test_every_node import argument, definitions_of

MODULES = (
    "conditioning", "controlnet", "custom_sampling", "forward_process", "model_sampling", "sampling", "sigmas", "vae",
)  # fmt: skip
DEFINITIONS = definitions_of(*MODULES)
CONSTANTS: dict[str, Any] = {
    "steps": 2,
    "end_at_step": 2,
    "add_noise": "enable",
    "width": 64,
    "height": 64,
    "tile_size": 64,
    "overlap": 32,
    "t": 0.5,
    "text": "red apple",
    "stop_at_clip_layer": -1,
    "denoise": 1.0,
    "batch_size": 1,
}


@pytest.fixture(scope="module")
def parts(tiny_sd: Any, tiny_manager: Any) -> tuple[Any, ...]:
    """Handles of the denoiser, the text encoder, the VAE and a control net of the tiny model."""
    checkpoint = tiny_manager.checkpoint(tiny_sd.file("checkpoints", "tiny.safetensors"))
    return (*checkpoint, tiny_manager.controlnet(tiny_sd.file("controlnet", "edges.safetensors")))


def sample(spec: InputSpec, parts: tuple[Any, ...]) -> Any:
    model, clip, vae, control = parts
    generator = torch.Generator().manual_seed(3)
    texts = [[torch.randn(1, 77, 32, generator=generator), {"pooled_output": torch.randn(1, 32, generator=generator)}]]
    match spec.type:
        case "CONDITIONING":
            return texts
        case "LATENT":
            mask = torch.rand(1, 1, 64, 64, generator=generator)
            return {"samples": torch.randn(1, 4, 8, 8, generator=generator), "noise_mask": mask}
        case "IMAGE":
            return torch.rand(1, 64, 64, 3, generator=generator)
        case "MASK":
            return torch.rand(1, 64, 64, generator=generator)
        case "SIGMAS":
            return torch.tensor([14.0, 1.0, 0.0])
        case "GUIDER":
            return GuidedModel(model, CfgGuidance(texts, texts, 3.0))
    others = {"MODEL": model, "CLIP": clip, "VAE": vae, "CONTROL_NET": control}
    others |= {"SAMPLER": Sampler(name="euler"), "NOISE": SeededNoise(5)}
    if spec.type in others:
        return others[spec.type]
    if spec.name in CONSTANTS and spec.type != "BOOLEAN":
        return CONSTANTS[spec.name]
    return argument(spec, None)


@pytest.mark.parametrize("name", sorted(set(DEFINITIONS) - {"CLIPVisionEncode"}))
def test_a_node_with_models_leaves_its_inputs_as_they_are(bench: Any, parts: tuple[Any, ...], name: str) -> None:
    definition = DEFINITIONS[name]
    inputs = {spec.name: sample(spec, parts) for spec in definition.spec.inputs}
    before = {key: digest(value) for key, value in inputs.items()}
    assert None not in before.values()
    raw = definition.run(*([bench] if definition.wants_ctx else []), **inputs)
    values = definition.read(definition.spec, raw).values
    assert len(values) == len(definition.spec.outputs)
    assert {key: digest(value) for key, value in inputs.items()} == before
