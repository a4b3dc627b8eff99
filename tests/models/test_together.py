"""Models, merges, LoRAs and packs on the same weights at once: each computes with its own, and all come off to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.handles import HookedModel, ModelHandle
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.model_merging import model_merge_add, model_merge_blocks, model_merge_simple
from nodes.sampling import ksampler
from tests.every_family import Parts, loaded, written
from tests.tiny_packed import int8, lora_for, write_both


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("together")
    return {name: written(root, name) for name in ("sd1", "sd3")}


@pytest.fixture
def sd1(files: dict[str, Path]) -> Parts:
    return loaded(files["sd1"], "sd1")


def state(parts: Parts, model: Any) -> dict[str, torch.Tensor]:
    with parts.bench.models.use(model) as network:
        return {name: value.clone() for name, value in network.module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def hooked(model: ModelHandle) -> HookedModel:
    """With functions of a pack around it."""
    return HookedModel(**{name: getattr(model, name) for name in ModelHandle.__struct_fields__}, hooks=object())


def test_a_merge_changes_what_a_network_keeps_beside_its_parameters_and_leaves_it_again(files: dict[str, Path]) -> None:
    parts = loaded(files["sd3"], "sd3")
    with parts.bench.models.use(parts.model) as network:
        [table] = [name for name, _ in network.module.named_buffers() if name in network.module.state_dict()]
    before = state(parts, parts.model)
    twice = model_merge_add(parts.bench, parts.model, parts.model)
    assert torch.equal(state(parts, twice)[table], 2 * before[table])
    assert same(state(parts, parts.model), before)
    with parts.bench.models.use(parts.model) as network, parts.bench.models.use(twice) as other:
        assert torch.equal(other.module.state_dict()[table], 2 * network.module.state_dict()[table])


def test_a_model_with_functions_of_a_pack_is_merged_by_its_weights(sd1: Parts) -> None:
    plain = model_merge_simple(sd1.bench, sd1.model, sd1.model, 0.25)
    made = model_merge_simple(sd1.bench, sd1.model, hooked(sd1.model), 0.25)
    assert made == plain
    assert made.identity() == plain.identity()
    around = model_merge_simple(sd1.bench, hooked(sd1.model), hooked(sd1.model), 0.25)
    assert isinstance(around, HookedModel)
    assert around.patches == plain.patches
    assert same(state(sd1, around), state(sd1, plain))


def test_what_a_pack_loads_in_inference_mode_is_patched_outside_of_it(sd1: Parts) -> None:
    with torch.inference_mode():
        before = state(sd1, sd1.model)
        assert torch.is_inference_mode_enabled()
    twice = model_merge_add(sd1.bench, sd1.model, sd1.model)
    assert torch.equal(state(sd1, twice)["conv_in.weight"], 2 * before["conv_in.weight"])
    assert same(state(sd1, sd1.model), before)
    with sd1.bench.models.use(sd1.model) as network:
        x = torch.randn(1, 4, 8, 8, requires_grad=True)
        network.module.conv_in(x).sum().backward()
    assert x.grad is not None
    assert bool(x.grad.any())


def test_packed_and_plain_models_are_merged_with_loras_to_the_same_bits(sd1: Parts) -> None:
    bench = sd1.bench
    source = Path(bench.paths.folders("checkpoints")[0]) / "tiny.safetensors"
    write_both(source, int8(), {"format": "int8_tensorwise"}, prefix="model.diffusion_model.")
    lora = lora_for(source, source.parent.parent / "loras" / "of_linear.safetensors", "model.diffusion_model.")
    packed, plain = (checkpoint_loader(bench, f"tiny_{how}.safetensors").MODEL for how in ("packed", "plain"))
    text = text_encode(bench, "a red apple", sd1.clip)

    def put(model: ModelHandle, strength: float) -> Any:
        return bench.models.lora(lora, model, None, strength).model

    def run(model: ModelHandle) -> torch.Tensor:
        latent = {"samples": torch.zeros(1, 4, 8, 8)}
        told = {"seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
        made: torch.Tensor = ksampler(bench, model, **told, positive=text, negative=text, latent_image=latent)[
            "samples"
        ]
        return made

    def merge(one: ModelHandle, other: ModelHandle) -> ModelHandle:
        return put(model_merge_blocks(bench, put(one, 0.5), put(other, -0.5), 0.25, 0.5, 0.75), 0.25)

    bare, expected = run(packed), run(merge(plain, plain))
    assert not torch.allclose(bare, expected, atol=1e-2)
    for one, other in ((packed, plain), (plain, packed), (packed, packed)):
        assert torch.equal(run(merge(one, other)), expected)
        assert torch.equal(run(packed), bare)
