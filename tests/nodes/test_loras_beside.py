"""LoRAs beside the layers against the same ones in the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.cache.digests import digest
from engine.models.errors import LoraError
from nodes.conditioning import text_encode
from nodes.conditioning_properties import conditioning_set_properties
from nodes.hooks import create_hook_lora_model_only
from nodes.loaders import checkpoint_loader, lora_loader, lora_loader_model_only
from nodes.loras_beside import lora_loader_bypass, lora_loader_bypass_model_only, lora_model_loader

KOHYA, DIFFUSERS = "kohya.safetensors", "diffusers.safetensors"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture
def parts(bench):
    return checkpoint_loader(bench, "tiny.safetensors")


@pytest.fixture
def predict(bench):
    generator = torch.Generator().manual_seed(5)
    x, context = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 77, 32, generator=generator)

    def predict(model: Any) -> torch.Tensor:
        with bench.models.use(model) as network:
            found: torch.Tensor = network(x, torch.tensor([500.0, 20.0]), context)
            return found

    return predict


def kinds(module: Any) -> dict[str, dict[str, torch.Tensor]]:
    """Changes of every sort, for linear layers, convolutions, biases and normalisations of the tiny network."""
    generator = torch.Generator().manual_seed(1)

    def some(*shape: int) -> torch.Tensor:
        return 0.1 * torch.randn(shape, generator=generator)

    attn, conv = (
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "lora_unet_down_blocks_0_resnets_0_conv1",
    )
    norm, up = "lora_unet_down_blocks_0_resnets_0_norm1", "lora_unet_down_blocks_0_downsamplers_0_conv"
    return {
        "conv": {f"{conv}.lora_down.weight": some(4, 32, 3, 3), f"{conv}.lora_up.weight": some(32, 4, 1, 1)},
        "strided": {f"{up}.lora_down.weight": some(4, 32, 3, 3), f"{up}.lora_up.weight": some(32, 4, 1, 1)},
        "mid": {
            f"{conv}.lora_down.weight": some(4, 32, 1, 1),
            f"{conv}.lora_up.weight": some(32, 4, 1, 1),
            f"{conv}.lora_mid.weight": some(4, 4, 3, 3),
        },
        "loha": {f"{attn}.hada_{part}": some(*((32, 4) if part.endswith("a") else (4, 32))) for part in ("w1_a", "w1_b", "w2_a", "w2_b")},
        "dora": {
            f"{attn}.lora_down.weight": some(4, 32),
            f"{attn}.lora_up.weight": some(32, 4),
            f"{attn}.dora_scale": some(32, 1).abs() + 1.0,
        },
        "biases": {f"{conv}.diff_b": some(32), f"{conv}.diff": some(32, 32, 3, 3), f"{norm}.w_norm": some(32), f"{norm}.b_norm": some(32)},
    }  # fmt: skip


def test_the_results_are_those_of_the_patched_weights_and_no_weight_changes(bench, parts, predict):
    plain = predict(parts.MODEL)
    for name in (KOHYA, DIFFUSERS):
        beside = lora_loader_bypass_model_only(bench, parts.MODEL, name, 0.7)
        merged = lora_loader_model_only(bench, parts.MODEL, name, 0.7)
        assert digest(beside) != digest(merged)
        expected = predict(merged)
        torch.testing.assert_close(predict(beside), expected, **CLOSE)
        assert not torch.allclose(expected, plain, atol=1e-3)
        with bench.models.use(beside) as network:
            entry = next(one for one in bench.models._entries.values() if one.with_module(network.module))
            assert entry.with_module(network.module).weights.patched_bytes == 0
    assert torch.equal(predict(parts.MODEL), plain)


@pytest.mark.parametrize("kind", ["conv", "strided", "mid", "loha", "dora", "biases"])
def test_changes_of_every_sort(bench, parts, predict, tiny_sd, kind):
    path = tiny_sd.file("loras", f"beside_{kind}.safetensors")
    save_file(kinds(None)[kind], path)
    try:
        merged = predict(lora_loader_model_only(bench, parts.MODEL, path.name, 0.9))
        torch.testing.assert_close(
            predict(lora_loader_bypass_model_only(bench, parts.MODEL, path.name, 0.9)), merged, **CLOSE
        )
        assert not torch.allclose(merged, predict(parts.MODEL), atol=1e-5)
    finally:
        path.unlink()


def test_text_encoders_and_loras_in_a_row(bench, parts, predict):
    model, clip = lora_loader_bypass(bench, parts.MODEL, parts.CLIP, KOHYA, 0.5, 0.8)
    expected = lora_loader(bench, parts.MODEL, parts.CLIP, KOHYA, 0.5, 0.8)
    [[tokens, options]] = text_encode(bench, "red apple", clip)
    [[wanted, told]] = text_encode(bench, "red apple", expected.CLIP)
    torch.testing.assert_close(tokens, wanted, **CLOSE)
    torch.testing.assert_close(options["pooled_output"], told["pooled_output"], **CLOSE)
    both = lora_loader_model_only(bench, lora_loader_bypass_model_only(bench, model, DIFFUSERS, -0.4), KOHYA, 0.2)
    merged = lora_loader_model_only(bench, lora_loader_model_only(bench, expected.MODEL, DIFFUSERS, -0.4), KOHYA, 0.2)
    torch.testing.assert_close(predict(both), predict(merged), **CLOSE)
    assert lora_loader_bypass(bench, parts.MODEL, parts.CLIP, KOHYA, 0.0, 0.0) == (parts.MODEL, parts.CLIP)


def test_hooks_on_a_model_with_a_lora_beside(bench, parts):
    from nodes.sampling import ksampler

    text = text_encode(bench, "red apple", parts.CLIP)
    hooked = conditioning_set_properties(text, hooks=create_hook_lora_model_only(bench, DIFFUSERS, 0.6))
    told = {"seed": 1, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "negative": text}
    told["latent_image"] = {"samples": torch.zeros(1, 4, 8, 8)}
    found = [
        ksampler(bench, load(bench, parts.MODEL, KOHYA, 0.5), positive=hooked, **told)["samples"]
        for load in (lora_loader_bypass_model_only, lora_loader_model_only)
    ]
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("bypass", [False, True])
def test_a_lora_of_tensors_is_that_of_the_file(bench, parts, predict, tiny_sd, bypass):
    tensors = load_file(tiny_sd.file("loras", DIFFUSERS))
    loaded = lora_model_loader(bench, parts.MODEL, tensors, 0.7, bypass)
    torch.testing.assert_close(
        predict(loaded), predict(lora_loader_model_only(bench, parts.MODEL, DIFFUSERS, 0.7)), **CLOSE
    )
    again = lora_model_loader(bench, parts.MODEL, dict(reversed(tensors.items())), 0.7, bypass)
    assert digest(again) == digest(loaded)
    assert Path(loaded.patches[0].source.path).parent.name == "lora_models"
    assert lora_model_loader(bench, parts.MODEL, tensors, 0.0) is parts.MODEL


def test_what_is_no_lora_is_told(bench, parts, monkeypatch):
    for wrong in ({}, [1], {"a": 1}):
        with pytest.raises(ValueError, match="expected tensors by their names"):
            lora_model_loader(bench, parts.MODEL, wrong)
    monkeypatch.setattr("engine.models.lora_families.told", lambda path, names: "whose they are")
    with pytest.raises(LoraError, match="fits this model"):
        lora_model_loader(bench, parts.MODEL, {"nothing.lora_A.weight": torch.zeros(1, 2)})
