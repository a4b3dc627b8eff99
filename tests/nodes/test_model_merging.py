"""Sums of the weights of two models: what the merged model computes with, and that the others stay as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.models import sd_keys
from engine.models.errors import ModelError
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader, denoiser_loader, lora_loader_model_only
from nodes.model_merging import (
    clip_merge_add,
    clip_merge_simple,
    clip_merge_subtract,
    model_merge_add,
    model_merge_blocks,
    model_merge_simple,
    model_merge_subtract,
)
from tests.conftest import _save as save


def state(bench: Any, model: Any) -> dict[str, torch.Tensor]:
    with bench.models.use(model) as network:
        return {name: value.clone() for name, value in network.module.state_dict().items()}


@pytest.fixture
def first(bench) -> Any:
    return checkpoint_loader(bench, "tiny.safetensors")


@pytest.fixture
def second(bench, tiny_sd) -> Any:
    """The same model with other weights."""
    path = tiny_sd.file("checkpoints", "tiny.safetensors")
    generator = torch.Generator().manual_seed(4)
    tensors = {
        name: value + 0.05 * torch.randn(value.shape, generator=generator) if value.is_floating_point() else value
        for name, value in load_file(path).items()
    }
    with_metadata(path, bench.paths.folders("checkpoints")[0] / "other.safetensors", tensors)
    return checkpoint_loader(bench, "other.safetensors")


def with_metadata(source: Any, target: Any, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors import safe_open

    with safe_open(source, "pt") as file:
        save(target, tensors, file.metadata())


def close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    assert found.keys() == expected.keys()
    return all(torch.allclose(found[name], expected[name], atol=1e-6) for name in found)


def test_a_mean_of_two_models_and_taking_it_off_again(bench, first, second):
    one, two = state(bench, first.MODEL), state(bench, second.MODEL)
    made = model_merge_simple(bench, first.MODEL, second.MODEL, 0.3)
    assert close(state(bench, made), {name: 0.3 * one[name] + 0.7 * two[name] for name in one})
    again = state(bench, first.MODEL)
    assert all(torch.equal(again[name], one[name]) for name in one)
    assert model_merge_simple(bench, first.MODEL, second.MODEL, 1.0) == first.MODEL
    assert bench.warned == []


def test_what_is_on_either_model_counts(bench, first, second, tiny_sd):
    """LoRAs on both, and a merged one merged again."""
    name = next(iter(bench.paths.folders("loras")[0].glob("*.safetensors"))).name
    left = lora_loader_model_only(bench, first.MODEL, name, 0.8)
    right = lora_loader_model_only(bench, second.MODEL, name, -0.5)
    one, two = state(bench, left), state(bench, right)
    made = model_merge_simple(bench, left, right, 0.5)
    assert close(state(bench, made), {key: 0.5 * one[key] + 0.5 * two[key] for key in one})
    after = lora_loader_model_only(bench, made, name, 1.0)
    bare, full = state(bench, first.MODEL), state(bench, lora_loader_model_only(bench, first.MODEL, name, 1.0))
    assert close(state(bench, after), {key: 0.5 * (one[key] + two[key]) + full[key] - bare[key] for key in one})
    nested = model_merge_simple(bench, first.MODEL, made, 0.25)
    assert close(state(bench, nested), {key: 0.25 * bare[key] + 0.375 * (one[key] + two[key]) for key in one})


def test_parts_of_a_unet_have_shares_of_their_own(bench, first, second):
    one, two = state(bench, first.MODEL), state(bench, second.MODEL)
    made = state(bench, model_merge_blocks(bench, first.MODEL, second.MODEL, 0.2, 0.5, 0.9))
    names = {name: theirs for theirs, name in names_of(first.MODEL, one).items()}
    for name in one:
        theirs = names[name]
        share = 0.5 if theirs.startswith("middle_block.") else 0.9 if theirs.startswith("out") else 0.2
        assert torch.allclose(made[name], share * one[name] + (1 - share) * two[name], atol=1e-6), theirs
    kinds = {theirs.split(".")[0] for theirs in names.values()}
    assert {"input_blocks", "middle_block", "output_blocks", "out", "time_embed"} <= kinds


def names_of(model: Any, tensors: dict[str, torch.Tensor]) -> dict[str, str]:
    return sd_keys.unet_to_original({name: name for name in tensors}, model.config, "")


def test_a_difference_is_added_to_a_third(bench, first, second):
    one, two = state(bench, first.MODEL), state(bench, second.MODEL)
    difference = model_merge_subtract(bench, second.MODEL, first.MODEL, 0.4)
    assert close(state(bench, difference), {name: 0.4 * (two[name] - one[name]) for name in one})
    made = model_merge_add(bench, first.MODEL, difference)
    assert close(state(bench, made), {name: one[name] + 0.4 * (two[name] - one[name]) for name in one})


def test_text_encoders_are_merged_too(bench, first, second):
    contexts = [text_encode(bench, "a photo", clip)[0][0] for clip in (first.CLIP, second.CLIP)]
    assert not torch.allclose(*contexts, atol=1e-3)
    same = clip_merge_simple(bench, first.CLIP, second.CLIP, 0.0)
    assert torch.allclose(text_encode(bench, "a photo", same)[0][0], contexts[1], atol=1e-5)
    back = clip_merge_add(bench, first.CLIP, clip_merge_subtract(bench, second.CLIP, first.CLIP, 1.0))
    assert torch.allclose(text_encode(bench, "a photo", back)[0][0], contexts[1], atol=1e-4)
    half = text_encode(bench, "a photo", clip_merge_simple(bench, first.CLIP, second.CLIP, 0.5))[0][0]
    assert min(float((half - context).abs().max()) for context in contexts) > 1e-3


def test_a_weight_of_another_size_is_left_and_told(bench, first, tiny_sd):
    """As an inpainting model's first layer."""
    path = tiny_sd.file("checkpoints", "tiny.safetensors")
    tensors = load_file(path)
    name = "model.diffusion_model.input_blocks.0.0.weight"
    tensors[name] = torch.cat(
        [tensors[name], torch.ones_like(tensors[name])[:, :4], torch.ones_like(tensors[name])[:, :1]], 1
    )
    with_metadata(path, bench.paths.folders("checkpoints")[0] / "inpainting.safetensors", tensors)
    wider = checkpoint_loader(bench, "inpainting.safetensors").MODEL
    before = state(bench, wider)
    made = state(bench, model_merge_add(bench, wider, first.MODEL))
    assert torch.equal(made["conv_in.weight"], before["conv_in.weight"])
    assert torch.allclose(made["conv_in.bias"], 2 * before["conv_in.bias"], atol=1e-6)
    [told] = bench.warned
    assert "1 weights of the first model are left as they are, such as conv_in.weight" in told


def test_recipes_are_told_apart_and_another_family_is_refused(bench, first, second, tmp_path):
    made = [
        model_merge_simple(bench, first.MODEL, second.MODEL, 0.5),
        model_merge_simple(bench, first.MODEL, second.MODEL, 0.4),
        model_merge_blocks(bench, first.MODEL, second.MODEL, 0.5, 0.4, 0.5),
        model_merge_simple(bench, second.MODEL, first.MODEL, 0.5),
    ]
    assert len({one.identity() for one in [first.MODEL, *made]}) == 5
    from engine.models.handles import decode_handle, encode_handle

    assert decode_handle(encode_handle(made[0])) == made[0]
    from tests.families import flux_transformer

    torch.manual_seed(1)
    save(bench.paths.folders("diffusion_models")[0] / "flux.safetensors", flux_transformer(guidance=False).state_dict())
    other = denoiser_loader(bench, "flux.safetensors")
    with pytest.raises(ModelError, match="cannot be merged: they have no weight of the same name and size"):
        model_merge_simple(bench, first.MODEL, other, 0.5)
