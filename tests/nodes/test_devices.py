"""Where models are computed, and in what: chosen by nodes, where there is such a device."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.denoising.inside.base import with_patch
from engine.models import chosen
from engine.models.errors import ModelError
from engine.models.handles import decode_handle, encode_handle
from nodes.conditioning import text_encode
from nodes.devices import (
    model_compute_dtype,
    multi_gpu_work_units,
    select_clip_device,
    select_model_device,
    select_vae_device,
    torch_compile_model,
    wan_block_swap,
)
from nodes.loaders import checkpoint_loader
from nodes.sampling import ksampler
from nodes.unet_patches import free_u


@pytest.fixture
def parts(bench) -> Any:
    return checkpoint_loader(bench, "tiny.safetensors")


def pick(parts: Any) -> list[tuple[Any, Any]]:
    return [(select_model_device, parts.MODEL), (select_clip_device, parts.CLIP), (select_vae_device, parts.VAE)]


def test_a_device_that_is_not_there_is_said_and_changes_nothing(bench, parts, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for node, handle in pick(parts):
        assert node(bench, handle, "gpu:3") is handle
    assert bench.warned == ["There is no gpu:3 in this machine: it is computed on cpu, as without this node."] * 3


def test_the_workers_own_device_and_the_default_are_the_handle_as_it_was(bench, parts, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for node, handle in pick(parts):
        elsewhere = node(bench, handle, "gpu:1")
        assert elsewhere.identity() != handle.identity()
        assert decode_handle(encode_handle(elsewhere)) == elsewhere
        assert node(bench, elsewhere, "default") == handle
        assert chosen.device_of(elsewhere, "cpu") == "cuda:1"
        assert chosen.device_of(elsewhere, "cuda:1") == "cuda:1"
        assert chosen.device_of(handle, "cuda") == "cuda"
    assert select_model_device(bench, parts.MODEL, "cpu") == parts.MODEL
    assert not bench.warned


def test_what_was_chosen_elsewhere_is_computed_here_where_it_is_not(parts, bench, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    handle = select_model_device(bench, parts.MODEL, "gpu:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with bench.models.use(handle) as network:
        assert network.device == torch.device("cpu")


def test_a_card_is_chosen_away_from_to_the_cpu_in_float32(parts, monkeypatch):
    from engine.models.manager import ModelManager

    manager = ModelManager("cuda")
    handle = chosen.on_device(parts.MODEL, "cpu")
    manager._budget = 10**9
    with manager.use(handle) as network:
        assert (network.device, network.dtype) == (torch.device("cpu"), torch.float32)
    assert not chosen.same("cpu", "cuda")
    assert chosen.same("cuda:0", "cuda")


@pytest.mark.parametrize(("dtype", "kind", "near"), [("bf16", torch.bfloat16, 0.3), ("fp16", torch.float16, 0.05)])
def test_a_precision_is_what_the_network_is_kept_and_computed_in(bench, parts, dtype, kind, near):
    model = model_compute_dtype(parts.MODEL, dtype)
    with bench.models.use(model) as network:
        assert network.dtype == kind
        assert all(one.dtype == kind for one in network.module.parameters())
    positive, negative = (text_encode(bench, text, parts.CLIP) for text in ("red apple", ""))
    told = {"seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal"}
    latents = [
        ksampler(
            bench, one, positive=positive, negative=negative, latent_image={"samples": torch.zeros(1, 4, 8, 8)}, **told
        )
        for one in (parts.MODEL, model)
    ]
    whole, less = (one["samples"] for one in latents)
    assert 0.0 < float((whole - less).abs().max()) < near * float(whole.std())
    assert model_compute_dtype(model, "default") == parts.MODEL
    assert model_compute_dtype(parts.MODEL, "fp32").identity() != model.identity()


def test_what_is_not_split_is_said_and_what_is_kept_for_workflows_does_nothing(bench, parts):
    assert multi_gpu_work_units(bench, parts.MODEL, 1) is parts.MODEL
    assert not bench.warned
    assert multi_gpu_work_units(bench, parts.MODEL, 2) is parts.MODEL
    assert "stays on one device" in bench.warned[0]
    assert wan_block_swap(parts.MODEL) is parts.MODEL


# --- torch.compile --------------------------------------------------------------------------------------------------


@pytest.fixture
def run(bench, parts):
    positive, negative = (text_encode(bench, text, parts.CLIP) for text in ("red apple", ""))

    def run(model: Any) -> torch.Tensor:
        told = {"seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal"}
        latent = {"samples": torch.zeros(1, 4, 8, 8)}
        found: torch.Tensor = ksampler(bench, model, positive=positive, negative=negative, latent_image=latent, **told)[
            "samples"
        ]
        return found

    return run


def test_a_compiled_network_gives_the_same_and_what_is_put_into_it_is_seen(bench, parts, run):
    plain, freed = run(parts.MODEL), run(free_u(parts.MODEL))
    compiled = with_patch(parts.MODEL, "compiled", backend="eager")  # traced as for inductor, which takes a minute
    assert torch.equal(run(compiled), plain)
    assert not bench.warned
    with bench.models.use(parts.MODEL) as network:
        assert network.module._compiled_call_impl is None
        assert list(network.module.__dict__["safelight_compiled"]) == ["eager"]
    assert torch.equal(run(free_u(compiled)), freed)
    assert "were not compiled" in bench.warned[0]
    assert torch.equal(run(compiled), plain)


def test_what_cannot_be_compiled_is_told_with_the_reason(bench, parts, run, monkeypatch):
    with pytest.raises(
        ModelError, match=r"backend: cudagraphs is for CUDA cards, and the model is computed on cpu\. Choose"
    ):
        run(torch_compile_model(parts.MODEL, "cudagraphs"))

    def broken(function: Any, backend: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            raise BackendCompilerFailed("no C++ compiler was found")

        return call

    BackendCompilerFailed = type("BackendCompilerFailed", (RuntimeError,), {"__module__": "torch._dynamo.exc"})
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(
        ModelError, match=r"torch\.compile with inductor failed on cpu: BackendCompilerFailed: no C\+\+ compiler"
    ):
        run(torch_compile_model(parts.MODEL))
    with bench.models.use(parts.MODEL) as network:
        network.module.__dict__.pop("safelight_compiled")
