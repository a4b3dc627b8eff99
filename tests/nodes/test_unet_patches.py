"""Patches of U-Nets as nodes: they change runs, are part of what a run is named by, and are refused where they cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.handles import decode_handle, encode_handle
from nodes.attention_multiply import (
    clip_attention_multiply,
    unet_cross_attention_multiply,
    unet_self_attention_multiply,
    unet_temporal_attention_multiply,
)
from nodes.conditioning import text_encode
from nodes.controlnet import control_net_apply_advanced
from nodes.loaders import checkpoint_loader, control_net_loader, lora_loader_model_only
from nodes.sampling import ksampler
from nodes.unet_patches import free_u, free_u_v2, hyper_tile, patch_model_add_downscale, tome_patch_model


@pytest.fixture
def parts(bench) -> Any:
    return checkpoint_loader(bench, "tiny.safetensors")


@pytest.fixture
def run(bench, parts):
    positive, negative = (text_encode(bench, text, parts.CLIP) for text in ("red apple", ""))
    start = torch.zeros(1, 4, 8, 8)

    def run(model: Any, positive: Any = positive, **options: Any) -> torch.Tensor:
        told = {"seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal"} | options
        found: torch.Tensor = ksampler(
            bench, model, positive=positive, negative=negative, latent_image={"samples": start}, **told
        )["samples"]
        return found

    run.positive, run.negative = positive, negative
    return run


NODES = {
    "FreeU": free_u,
    "FreeU_V2": free_u_v2,
    "PatchModelAddDownscale": lambda model: patch_model_add_downscale(model, 2),
    "HyperTile": lambda model: hyper_tile(model, 32, 1, 0),
    "TomePatchModel": lambda model: tome_patch_model(model, 0.5),
}


@pytest.mark.parametrize("name", NODES)
def test_a_patch_changes_a_run_and_its_name_and_goes_through_the_cache(parts, run, name):
    model = NODES[name](parts.MODEL)
    assert model.identity() != parts.MODEL.identity()
    got = run(model)
    assert not torch.allclose(got, run(parts.MODEL), atol=1e-6)
    assert torch.equal(run(decode_handle(encode_handle(model))), got)


@pytest.mark.parametrize("name", NODES)
def test_a_transformer_is_refused_in_words(flux, name):
    with pytest.raises(
        ModelError, match=rf"{name}: model: .* is FLUX.1, whose transformer has no .*Load a model of Stable"
    ):
        NODES[name](flux)


@pytest.fixture(scope="module")
def flux(tmp_path_factory) -> Any:
    from engine.models.manager import ModelManager
    from tests.families import flux_to_original, flux_transformer, save

    path = tmp_path_factory.mktemp("flux") / "flux.safetensors"
    save(path, flux_to_original(flux_transformer(guidance=False).state_dict(), ""))
    return ModelManager("cpu").denoiser(path)


def test_a_block_that_the_model_lacks_is_told(parts):
    with pytest.raises(ModelError, match=r"block_number: Stable Diffusion 1.x has input blocks 1 to 3, got 9"):
        patch_model_add_downscale(parts.MODEL, 9)


def test_a_ratio_of_nothing_is_the_model_itself(parts):
    assert tome_patch_model(parts.MODEL, 0.0) is parts.MODEL


def test_patches_a_lora_and_a_control_net_work_together(bench, parts, run):
    control = control_net_loader(bench, "edges.safetensors")
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(2))
    told = control_net_apply_advanced(run.positive, run.negative, control, picture, 1.0, 0.0, 1.0)
    steered = told[0]
    lora = lora_loader_model_only(bench, parts.MODEL, "kohya.safetensors", 1.0)
    every = hyper_tile(free_u(lora), 32, 1, 1)
    results = [
        run(parts.MODEL),
        run(lora),
        run(free_u(parts.MODEL)),
        run(hyper_tile(parts.MODEL, 32, 1, 1)),
        run(every),
        run(every, positive=steered),
        run(patch_model_add_downscale(every, 2), positive=steered),
    ]
    assert all(torch.isfinite(one).all() for one in results)
    assert all(not torch.allclose(a, b, atol=1e-6) for n, a in enumerate(results) for b in results[:n])
    assert torch.equal(run(parts.MODEL), results[0])


# --- attention times numbers ----------------------------------------------------------------------------------------


def weights(bench: Any, handle: Any) -> dict[str, torch.Tensor]:
    with bench.models.use(handle) as network:
        return {name: value.clone() for name, value in network.module.state_dict().items()}


@pytest.mark.parametrize(
    ("node", "attention"), [(unet_self_attention_multiply, "attn1"), (unet_cross_attention_multiply, "attn2")]
)
def test_the_weights_of_attention_are_multiplied_and_no_others(bench, parts, node, attention):
    before = weights(bench, parts.MODEL)
    after = weights(bench, node(parts.MODEL, 1.5, 0.5, 2.0, 0.25))
    factors = {"to_q": 1.5, "to_k": 0.5, "to_v": 2.0, "to_out.0": 0.25}
    touched = 0
    for name, value in before.items():
        factor = next((f for part, f in factors.items() if f".{attention}.{part}." in name), 1.0)
        touched += factor != 1.0
        assert torch.equal(after[name], value * factor)
    assert touched == 5 * sum(name.endswith(f".{attention}.to_q.weight") for name in before)
    assert all(torch.equal(value, before[name]) for name, value in weights(bench, parts.MODEL).items())


def test_a_lora_before_is_multiplied_and_one_after_is_not(bench, parts):
    plain = weights(bench, parts.MODEL)
    lora = weights(bench, lora_loader_model_only(bench, parts.MODEL, "kohya.safetensors", 1.0))
    changed = [name for name in plain if ".attn1.to_q" in name and not torch.equal(plain[name], lora[name])]
    assert changed
    first = lora_loader_model_only(bench, parts.MODEL, "kohya.safetensors", 1.0)
    before = weights(bench, unet_self_attention_multiply(first, 2.0))
    after = weights(
        bench, lora_loader_model_only(bench, unet_self_attention_multiply(parts.MODEL, 2.0), "kohya.safetensors", 1.0)
    )
    for name in changed:
        assert torch.allclose(before[name], 2 * lora[name], atol=1e-6)
        assert torch.allclose(after[name], plain[name] + lora[name], atol=1e-6)


def test_factors_of_one_leave_the_model_as_it_is(parts):
    assert unet_self_attention_multiply(parts.MODEL) == parts.MODEL


def test_what_has_no_such_layers_comes_back_with_a_word(bench, parts, flux):
    assert unet_temporal_attention_multiply(bench, flux) is flux
    assert not bench.warned
    assert unet_temporal_attention_multiply(bench, flux, 1.2, 1.0, 1.0, 1.3) is flux
    assert unet_temporal_attention_multiply(bench, parts.MODEL, 1.0, 1.2, 1.0, 1.3) == parts.MODEL
    assert "FLUX.1" in bench.warned[0]
    assert "no attention between frames" in bench.warned[1]


def test_what_attention_gives_is_multiplied_within_pictures(bench, parts):
    before = weights(bench, parts.MODEL)
    after = weights(bench, unet_temporal_attention_multiply(bench, parts.MODEL, 1.5, 7.0, 0.5, 7.0))
    for name, value in before.items():
        factor = 1.5 if ".attn1.to_out.0." in name else 0.5 if ".attn2.to_out.0." in name else 1.0
        assert torch.equal(after[name], value * factor)


def test_a_text_encoders_attention_is_multiplied(bench, parts):
    before = weights(bench, parts.CLIP)
    scaled = clip_attention_multiply(parts.CLIP, 1.5, 0.5, 2.0, 0.25)
    after = weights(bench, scaled)
    factors = {"q_proj": 1.5, "k_proj": 0.5, "v_proj": 2.0, "out_proj": 0.25}
    for name, value in before.items():
        factor = next((f for part, f in factors.items() if f".self_attn.{part}." in name), 1.0)
        assert torch.equal(after[name], value * factor)
    assert any(".self_attn.q_proj." in name for name in before)
    assert scaled.identity() != parts.CLIP.identity()


def test_a_text_encoder_of_another_kind_is_refused(parts):
    import msgspec

    other = msgspec.structs.replace(parts.CLIP, family="z_image", tower="qwen3_4b")
    with pytest.raises(
        ModelError, match=r"has no text encoder of CLIP, but qwen3_4b\. Use it with models that have one"
    ):
        clip_attention_multiply(other)
